"""What a run would do and cost, from one timed piece of every kind of work in it. Nothing is trained, sampled or kept.

The plan counts as if nothing were in the cache. Where the prior or a teacher is not trained yet, untrained ones of the
same size stand in: they cost the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.tables import aligned
from gendistill.experiments.plan_bytes import Imagined, drawn_for_the_bytes, on_disk
from gendistill.formatting import spell_bytes, spell_seconds
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.learning.training import Training, training_work
from gendistill.nets.base import build
from gendistill.nets.trained import shape_of
from gendistill.recipe import Recipe
from gendistill.running.distill import open_context
from gendistill.running.execute import first_draft, tuned
from gendistill.running.stages import stages
from gendistill.steering.base import Steering
from gendistill.steering.drafts import candidates
from gendistill.system.devices import device_of
from gendistill.system.memory import peak_memory
from gendistill.work import Work

TRIAL_S = 0.6
"""How long one kind of work is repeated to be timed."""
LONG_S = 10.0
"""From here on a call is timed once, while its operations are counted, which makes it up to a quarter longer."""


@dataclass(frozen=True)
class Line:
    """One kind of work of one part of the run.

    part    "prior", "distil", "random_real" ..., what it is for
    calls   how often; ``rows`` pictures each
    shared  however many parts need it, it is done once
    """

    part: str
    what: str
    calls: float
    rows: int
    seconds_each: float
    flops_each: float
    shared: bool = False

    @property
    def seconds(self) -> float:
        """All calls together."""
        return self.calls * self.seconds_each

    @property
    def flops(self) -> float:
        """Floating point operations of all calls."""
        return self.calls * self.flops_each


@dataclass(frozen=True)
class Plan:
    """The cost of a run. Prints as a table.

    images        pictures in the finished set, and sets made
    memory_bytes  peak of the process
    disk_bytes    of the run directory
    """

    images: int
    sets: int
    lines: tuple[Line, ...]
    memory_bytes: int
    disk_bytes: int

    @property
    def seconds(self) -> float:
        """Of all work."""
        return sum(line.seconds for line in self.lines)

    @property
    def flops(self) -> float:
        """Of all work."""
        return sum(line.flops for line in self.lines)

    @property
    def denoiser_evaluations(self) -> float:
        """Pictures times steps through the denoiser, both halves of guidance counted."""
        return sum(line.calls * line.rows for line in self.lines if line.what == "denoise")

    def __repr__(self) -> str:
        cells = [["part", "work", "calls", "pictures a call", "each", "together", "FLOPs"]]
        for line in self.lines:
            cells.append(
                [
                    line.part,
                    line.what,
                    f"{line.calls:,.0f}",
                    str(line.rows),
                    spell_seconds(line.seconds_each),
                    spell_seconds(line.seconds),
                    f"{line.flops:.2g}",
                ]
            )
        total = (
            f"\n{self.images:,} pictures in each of {self.sets} sets, {self.denoiser_evaluations:,.0f} denoiser evaluations, "
            f"{self.flops:.2g} FLOPs\nabout {spell_seconds(self.seconds)}, {spell_bytes(self.memory_bytes)} of memory at its peak, "
            f"{spell_bytes(self.disk_bytes)} on disk, as if nothing were cached"
        )
        return aligned(cells) + "\n" + total


def plan(recipe: Recipe, protocol: Protocol, device: str | torch.device = "auto", dtype: str = "float32") -> Plan:
    """Count the work of `gendistill.experiments.experiment.run` with these arguments and time one piece of each kind.

    Raises:
        UserError: what `run` would refuse.
    """
    where = device_of(device)
    context = open_context(recipe, where, getattr(torch, dtype), dry=True)
    lines: list[Line] = []
    with peak_memory(where) as peak:
        lines += timed("prior", recipe.prior.work(context.real, where), 1)
        lines += distilling("distil", recipe, context, protocol.sets)
        compared = len(context.real.train) > 0
        for name, other in baselines(recipe, protocol.coresets).items() if compared else ():
            inner = context
            if other.prior != recipe.prior:
                inner = replace(context, prior=other.prior.sketch(context.real, where, context.dtype))
            for step in other.steering:
                step.check(context.real, other.ipc)
            lines += distilling(name, other, inner, protocol.sets * (protocol.students if name == "random_real" else 1))
        if compared:
            lines += evaluating(recipe, protocol, context)
        largest = int(torch.bincount(context.real.train.labels, minlength=1).max())
    pictures = math.prod(context.real.train.shape)
    return Plan(
        recipe.ipc * len(context.real.classes),
        protocol.sets,
        tuple(merged(lines)),
        peak() + largest * pictures,
        on_disk(recipe, protocol, context),
    )


def distilling(part: str, recipe: Recipe, context: Context, sets: int) -> Iterator[Line]:
    """The work of making some sets, from one unit of every stage."""
    for stage in stages(recipe):
        units = list(stage.units(recipe, len(context.real.classes)))
        before, context = recipe.steering[: stage.first], context.anew()
        past = [(step, tuned(before[: place + 1], context)) for place, step in enumerate(before)]
        inner = tuned(before, context).of(units[0].classes)
        draft = imagined(first_draft(units[0], inner), past)
        for step in stage.steps:
            inner = tuned((step,), inner).of(units[0].classes)
            found = list(step.work(draft, inner))
            per_class = len({unit.classes for unit in units})
            for work in found:
                times = {"unit": len(units), "class": per_class, "run": 1}[work.each]
                yield from timed(part, [work], times * (1 if work.shared else sets))
            past.append((step, inner))
            draft = imagined(first_draft(units[0], inner), past)
        if stage.last:
            yield from timed(
                part, [Work("decode", 1, lambda d=draft: decode_once(d), rows=len(draft))], len(units) * sets
            )
    if not isinstance(recipe.labeler, Hard):
        example = Imagined(context.real.train, recipe.ipc)
        for work in recipe.labeler.work(example, context):
            yield from timed(part if not work.shared else "teachers", [work], 1 if work.shared else sets)


@torch.no_grad()
def decode_once(draft: Draft) -> object:
    """Decode the latents of a draft."""
    return draft.prior.decode(draft.latents)


def imagined(draft: Draft, past: Sequence[tuple[Steering, Context]]) -> Draft:
    """What some steps make of an empty draft, as far as what follows costs: the right number of latents of the right shape."""
    copies = 1
    for step, context in past:
        draft = step.imagined(draft, context) if step.shapes else replace(draft, prior=context.prior)
        copies = 1 if step.keeps else copies * step.copies
    return candidates(draft, copies)


def evaluating(recipe: Recipe, protocol: Protocol, context: Context) -> Iterator[Line]:
    """Students on every set, with every kind of labels, on all real pictures, and on random ones of as many bytes; and labels."""
    small, classes = Imagined(context.real.train, recipe.ipc), len(context.real.classes)
    kinds = len(protocol.labelers) or (1 if isinstance(recipe.labeler, Hard) else 2)
    compared, each = 1 + len(baselines(recipe, protocol.coresets)), protocol.sets * protocol.students
    for labeler in protocol.labelers:
        for work in labeler.work(small, context):
            once = work.shared
            # Random real pictures are another set for every student, all others one for several.
            yield from timed(
                "teachers" if once else "label", [work], 1 if once else (compared - 1) * protocol.sets + each
            )
    drawn = {ipc: Imagined(context.real.train, ipc) for ipc in drawn_for_the_bytes(recipe, protocol, context)}
    for alone in protocol.each:
        net, training = (
            build(alone.student, shape_of(context), 0, context.device),
            alone.training_for(recipe.ipc, classes),
        )
        steps = list(timed("evaluate", training_work(net, small, training, context.device), compared * kinds * each))
        yield from steps
        for labeler in protocol.labelers:
            if isinstance(labeler, Online):
                asked = [
                    work for work in labeler.passes(small, context, training.passes(len(small))) if not work.shared
                ]
                yield from timed("evaluate", asked, compared * each)
        more = [("evaluate full real", context.real.train, alone.full, 1)]
        more += [("evaluate as many bytes", one, alone.training_for(ipc, classes), each) for ipc, one in drawn.items()]
        for part, images, other, times in more:
            found = list(training_work(net, images, other, context.device))
            if same_step(training, other) and [work.rows for work in found] == [line.rows for line in steps]:
                for line, work in zip(steps, found, strict=True):
                    yield replace(line, part=part, calls=work.calls * times)
            else:
                yield from timed(part, found, times)


def same_step(one: Training, other: Training) -> bool:
    """Whether two trainings differ at most in how long they are: a step of one costs what a step of the other does."""
    return replace(one, epochs=other.epochs, least_steps=other.least_steps, schedule=other.schedule) == other


def timed(part: str, pieces: Iterable[Work], times: float) -> Iterator[Line]:
    """A line for every piece of work, from the median time of a few calls of it."""
    for work in pieces:
        if work.calls * times <= 0:
            continue
        started = time.perf_counter()
        with FlopCounterMode(display=False) as counter:
            work.once()
        counted = time.perf_counter() - started
        # On a GPU the first call of all also compiles.
        taken = [counted] if counted > LONG_S and not torch.cuda.is_available() else []
        while not taken or (sum(taken) < TRIAL_S and len(taken) < 9):
            _settle()
            started = time.perf_counter()
            work.once()
            _settle()
            taken.append(time.perf_counter() - started)
        yield Line(
            part,
            work.what,
            work.calls * times,
            work.rows,
            sorted(taken)[len(taken) // 2],
            counter.get_total_flops(),
            work.shared and work.each != "unit",
        )


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def merged(lines: list[Line]) -> list[Line]:
    """Equal work counted once where it is shared, such as encoding for two steps or teachers for two sets."""
    found: dict[tuple, Line] = {}
    for line in lines:
        key = ("" if line.shared else line.part, line.what, line.rows, round(line.flops_each))
        if key not in found:
            found[key] = line
        elif not line.shared:
            found[key] = replace(found[key], calls=found[key].calls + line.calls)
    return list(found.values())
