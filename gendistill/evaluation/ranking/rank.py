"""`rank`: all that LRS and ARS of a set ask for is trained, https://arxiv.org/abs/2505.13300.

The package of that name (0.2.0) does not compute them so. Mended here:

    it feeds percentages to the exponential                              they are refused
    its score for hard labels counts every accuracy twice                once
    it keeps the best of several epochs, on test pictures                last epoch; rates are chosen on held-out training pictures
    training on all real data ignores the epochs that are asked for      the protocol's `full`
    random pictures are not drawn class by class, or fail to be drawn    class by class, as many as the set has
    its soft score fails to find the teachers                            those that labelled the set label random pictures too
    ARS leaves the labels of random pictures undefined                   those of the set's labeler, with augmentation and without
    test pictures are cropped to 64                                      all pictures keep the size of the data
    one settings file differs from the method it is named for            the training is the protocol's
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from gendistill.config.settled import settled
from gendistill.context import Context, silent
from gendistill.data.validation import split
from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_apart
from gendistill.evaluation.evaluate import open_held_out
from gendistill.evaluation.labelled import spell_one
from gendistill.evaluation.protocols import SCREENING, Protocol
from gendistill.evaluation.ranking.arms import Arm, arms_of, with_source
from gendistill.evaluation.ranking.scores import Score, augmentation_margin, check_fractions, label_margin, over_seeds
from gendistill.evaluation.report import Row
from gendistill.evaluation.rows import score, size, summary
from gendistill.evaluation.sets.astray import check_soft, doubts
from gendistill.evaluation.sets.opened import AnySets, open_sets
from gendistill.evaluation.sets.prints import known_as
from gendistill.evaluation.tables import ONE_SET
from gendistill.formatting import spell_data
from gendistill.labelers.base import Labeler
from gendistill.labelers.hard import Hard
from gendistill.nets.guessing import check_teachers
from gendistill.types import Diverged, Images, Source, UserError

log = logging.getLogger("gendistill")
RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
"""Learning rates that are tried, beside that of the protocol, where a set brings none of its own."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """LRS and ARS of a set under one protocol, with the accuracies they are made of: fractions, one per seed.

    row           the set as its method wants it; its scores are percentages
    data          the real data: name, classes and size of the pictures
    full          of all real pictures, trained once
    hard          of the set with hard labels: unmixed and at the chosen rates where its own are soft, else as its method wants it
    random        of random real pictures with labels of the same source, at the chosen rates
    plain         of the set without augmentation
    random_plain  of the random pictures without augmentation, at the chosen rates
    rates         learning rate of every seed, by the name of what it was chosen for
    weight        of either half of both scores
    notes         what a reader must know of the test pictures
    """

    row: Row
    data: str
    full: float
    hard: tuple[float, ...]
    random: tuple[float, ...]
    plain: tuple[float, ...]
    random_plain: tuple[float, ...]
    rates: Mapping[str, tuple[float, ...]]
    weight: float = 0.5
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> tuple[float, ...]:
        """Of the set as its method wants it."""
        return tuple(score / 100 for score in self.row.scores)

    @property
    def lrs(self) -> Score:
        """Label-robust score."""
        each = zip(self.hard, self.method, self.random, strict=True)
        return over_seeds([label_margin(self.full, *one, self.weight) for one in each], self.row.sets)

    @property
    def ars(self) -> Score:
        """Augmentation-robust score."""
        each = zip(self.method, self.random, self.plain, self.random_plain, strict=True)
        return over_seeds([augmentation_margin(*one, self.weight) for one in each], self.row.sets)

    def to_json(self, run: str = "") -> dict[str, Any]:
        """A file of results with one row, which `gendistill compare` reads; ``run`` is whose set it is."""
        accuracies = ("full", "hard", "random", "plain", "random_plain", "rates", "weight")
        scores = {"lrs": self.lrs.value, "lrs_std": self.lrs.std, "ars": self.ars.value, "ars_std": self.ars.std}
        told = {"run": run, "data": self.data, **asdict(self.row), "seeds": list(range(self.row.n)), **scores}
        made_of = {name: getattr(self, name) for name in accuracies}
        return {"rows": [{**told, "ranking": made_of}], "notes": list(self.notes)}

    def __repr__(self) -> str:
        arms = {"hard labels": self.hard, "its own labels": self.method, "random real": self.random}
        arms |= {"no augmentation": self.plain, "random real, no augmentation": self.random_plain}
        told = ", ".join(f"{name} {100 * statistics.fmean(values):.1f}" for name, values in arms.items())
        alone = f" ({ONE_SET})" if self.row.alone else ""
        scores = f"LRS {self.lrs}, ARS {self.ars}{alone}: full real data {100 * self.full:.1f}, {told}"
        return "\n".join([scores, *self.notes])


@dataclass(frozen=True)
class Rankings:
    """LRS and ARS of a set, of every student of a protocol apart. Prints as a paragraph each.

    each  in the order of the protocol's students
    """

    each: tuple[Ranking, ...]

    def to_json(self, run: str = "") -> dict[str, Any]:
        """One file of results with a row for each, which `gendistill compare` reads; ``run`` is whose set it is."""
        files = [one.to_json(run) for one in self.each]
        rows, notes = ([item for file in files for item in file[part]] for part in ("rows", "notes"))
        return {"rows": rows, "notes": list(dict.fromkeys(notes))}

    def __repr__(self) -> str:
        return "\n".join(f"{one.row.student}: {one}" for one in self.each)


def rank(
    distilled: AnySets,
    protocol: Protocol = SCREENING,
    *,
    real: Source | None = None,
    labeler: Labeler | None = None,
    rates: Sequence[float] | None = None,
    weight: float = 0.5,
    fraction: float = 0.1,
    device: str | torch.device = "auto",
    progress: Callable[..., Iterable] = silent,
    context: Context | None = None,
) -> Rankings:
    """Train all that LRS and ARS of a set ask for. Students are kept in the store, so a killed ranking goes on.

    Args:
        distilled: what `gendistill.evaluate` takes: a set, several made by the same recipe from different seeds, or where one is.
        protocol: which students, trained how, how often: `sets` times `students` seeds each.
        real: the real data; None for those of the set's recipe.
        labeler: who labels the set and the random pictures; None for the one the protocol brings, or else for the labels the set
            has, which its recipe gives to random pictures, too.
        rates: learning rates to choose from; None for `RATES` and that of the protocol. The set itself learns at the protocol's,
            augmented and not; to choose for all others, and not for it, makes its scores lower, if anything.
        weight: of either half of the scores.
        fraction: of the training pictures of each class that rates are chosen on. Random real pictures are drawn from the others.
        device: where to train; "auto" takes a GPU where there is one.
        progress: wraps iterables to show how far they are.
        context: data and prior that are open already.

    Raises:
        UserError: nothing readable is there, it does not fit the real data, or these are not known; the set's labels are none,
            nobody can label random pictures as it is labelled, or there are too few of these.
        Diverged: no rate trains a student.
    """
    check_fractions(weight=weight)
    opened = open_sets(distilled, real=real, device=device, progress=progress, context=context)
    labeler = settled(labeler)
    return Rankings(
        tuple(
            _ranked(opened.sets, one, opened.context, labeler=labeler, rates=rates, weight=weight, fraction=fraction)
            for one in protocol.each
        )
    )


def _ranked(
    made: Sequence[Distilled],
    protocol: Protocol,
    context: Context,
    *,
    labeler: Labeler | None,
    rates: Sequence[float] | None,
    weight: float,
    fraction: float,
) -> Ranking:
    """The ranking of the first student of a protocol."""
    total = max(protocol.sets * protocol.students, len(made))
    if total < 3:
        log.warning("LRS and ARS of %d seeds have no deviation worth the name; DD-Ranking takes 5", total)
    training = protocol.training_for(made[0].ipc, len(made[0].classes))
    kept, judged = split(context.real.train, fraction, 0, context.real.name)
    labeler = labeler or brought(protocol)
    if labeler is None:
        check_soft(made)
    made, own = with_source(made, labeler, context)
    check_teachers(own, replace(context, ipc=made[0].ipc))
    arms = arms_of([made[seed % len(made)] for seed in range(total)], training, own, kept, context)
    chosen = {name: _rates(name, arm, rates, protocol, context, judged) for name, arm in arms.items()}
    held_out = open_held_out(context.real)
    sets = {"distilled": made}
    notes = [*check_apart(held_out, sets, context), *(doubts(sets) if labeler is None else ())]
    full = score(Distilled.of(context.real.train), protocol, protocol.full, 0, context, held_out, context.progress)
    found = {name: _accuracies(arm, chosen[name], protocol, context, held_out) for name, arm in arms.items()}
    told = tuple(100 * value for value in found.pop("method"))
    row = Row(
        set="distilled", labels=made[0].soft.kind, labeler=spell_one(labeler or Hard()),
        student=str(protocol.student), protocol=protocol.name, epochs=training.passes(len(made[0].images)), ipc=made[0].ipc,
        split=context.real.split, held_out=known_as(held_out, context), bytes=size(made[0], context),
        training=repr(training), scores=told, **summary(told), sets=min(len(made), total),
    )  # fmt: skip
    return Ranking(
        row=row,
        data=spell_data(context.real.name, len(context.real.classes), context.real.train.shape),
        full=full / 100,
        rates={name: chosen[name] for name, arm in arms.items() if arm.chosen},
        weight=weight,
        notes=tuple(notes),
        **found,
    )


def brought(protocol: Protocol) -> Labeler | None:
    """The labeler of a protocol; None where it brings none but hard labels.

    Raises:
        UserError: it brings several.
    """
    found = [labeler for labeler in protocol.labelers if not isinstance(labeler, Hard)]
    if len(found) > 1:
        raise UserError(
            f"the protocol {protocol.name!r} brings {len(found)} labelers: say by labeler= which one ranks the set"
        )
    return found[0] if found else None


def _rates(
    name: str, arm: Arm, rates: Sequence[float] | None, protocol: Protocol, context: Context, judged: Images
) -> tuple[float, ...]:
    """The learning rate of every seed: the best one on pictures that are neither of the test nor of random sets."""
    if not arm.chosen:
        return (arm.training.lr,) * len(arm.sets)

    def worth(rate: float, seed: int) -> float:
        try:
            return score(arm.sets[seed], protocol, replace(arm.training, lr=rate), seed, context, judged)
        except Diverged:
            return -math.inf

    found, tried = [], dict.fromkeys((arm.training.lr, *RATES)) if rates is None else rates
    for seed in context.progress(range(len(arm.sets)), f"rates of {name}", len(arm.sets)):
        worths = {rate: worth(rate, seed) for rate in tried}
        best = max(worths, key=lambda rate: worths[rate], default=None)
        if best is None or worths[best] == -math.inf:
            raise Diverged(f"no learning rate of {tuple(tried)} trains a student with {arm.training}: give lower ones")
        found.append(best)
    return tuple(found)


def _accuracies(
    arm: Arm, rates: Sequence[float], protocol: Protocol, context: Context, held_out: Images
) -> tuple[float, ...]:
    """The accuracy of every seed at its rate, as a fraction."""
    return tuple(
        score(one, protocol, replace(arm.training, lr=rate), seed, context, held_out) / 100
        for seed, (one, rate) in enumerate(zip(arm.sets, rates, strict=True))
    )
