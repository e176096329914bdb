"""Train students on sets and count what they get right: last epoch, mean and deviation over independent seeds, side by side.

The held-out pictures are opened once, after everything was made. Nothing is chosen by them. Student i of every set begins with
the same weights and sees its pictures in the same order, so that sets can be compared seed by seed.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gendistill import seeds
from gendistill.anchors.real_pictures import RealPictures
from gendistill.context import Context, silent
from gendistill.distilled import Distilled, load, set_folders
from gendistill.evaluation import foreign
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.checks import check_apart, check_teachers
from gendistill.evaluation.labelled import labelled, spell
from gendistill.evaluation.metrics.examine import of_logits
from gendistill.evaluation.protocols import SCREENING, Protocol
from gendistill.evaluation.report import Report, Row
from gendistill.nets.base import build
from gendistill.nets.logits import logits
from gendistill.nets.trained import shape_of
from gendistill.parquet import unique_names
from gendistill.priors.pixels import Pixels
from gendistill.progress import progress as show
from gendistill.recipe import Recipe
from gendistill.runs import distill, open_context
from gendistill.steering.start import Start
from gendistill.store import fingerprint
from gendistill.training import Training, train
from gendistill.types import Images, RealData, Source, UserError

log = logging.getLogger("gendistill")
Sets = Mapping[str, Sequence[Distilled]]


def evaluate(
    distilled: Distilled | Sequence[Distilled],
    protocol: Protocol = SCREENING,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[..., Iterable] = silent,
    context: Context | None = None,
) -> Report:
    """What a distilled set is worth, beside random real pictures, the unsteered prior, and all real pictures.

    Args:
        distilled: one set, or several made by the same recipe from different seeds.
        protocol: which student, trained how, how often.
        device: where to train.
        progress: wraps iterables to show how far they are.
        context: data and prior that are open already.

    Raises:
        UserError: the set does not know its recipe, so there is nothing to compare it with.
    """
    made = [distilled] if isinstance(distilled, Distilled) else list(distilled)
    recipe = made[0].recipe
    if recipe is None or isinstance(recipe, str):
        raise UserError(
            "this set does not know its recipe; `gendistill evaluate PATH --real SOURCE` compares it with real data"
        )
    context = context or open_context(recipe, torch.device(device), torch.float32, progress)
    check_held_out(context.real)
    sets = {"distilled": made, **make_baselines(recipe, protocol, context)}
    return measure(sets, protocol, context)


def evaluate_path(path: str, real: Source | None, protocol: Protocol, device: str = "cpu") -> Report:
    """What any set is worth: a run of ours, an image folder, Parquet, a hub id, or a .pt file, beside real pictures.

    Raises:
        UserError: nothing readable is at ``path``, or it does not fit the real data, or these are not known.
    """
    place = Path(path)
    ours = set_folders(place) if (place / "run.json").exists() else [place] if (place / "set.json").exists() else []
    made = [load(folder) for folder in ours]
    if made and isinstance(made[0].recipe, Recipe) and real is None:
        return evaluate(made, protocol, device=device, progress=show)
    if real is None:
        raise UserError(
            f"{path} does not say what it was distilled from: give --real, for example "
            '--real \'Parquet(train="train.parquet", test="test.parquet", size=32)\''
        )
    stand_in = Recipe(real=real, prior=Pixels(), steering=(Start(RealPictures()),))
    context = open_context(stand_in, torch.device(device), torch.float32, show)
    found = foreign.read(path, context.real)
    drawn = [
        distill(replace(stand_in, ipc=found.ipc, seed=i), context=context, device=device)
        for i in range(protocol.sets * protocol.students)
    ]
    others = make_baselines(replace(stand_in, ipc=found.ipc), protocol, context)
    return measure({"distilled": [found], "random_real": drawn, **others}, protocol, context)


def make_baselines(recipe: Recipe, protocol: Protocol, context: Context) -> dict[str, list[Distilled]]:
    """The sets that a recipe is compared with, one per (set, student) seed where drawing one is free."""
    made: dict[str, list[Distilled]] = {}
    for name, other in baselines(recipe, protocol.coresets).items():
        try:
            for step in other.steering:
                step.check(context.real, other.ipc)
        except UserError as error:
            log.warning("no row for %s: %s", name, error)
            continue
        count = protocol.sets * (protocol.students if name == "random_real" else 1)
        log.info("%s: %d sets to compare with", name, count)
        inner = context
        if other.prior != recipe.prior:
            inner = replace(context, prior=other.prior.load(context.real, context.device, context.dtype))
        made[name] = [
            distill(replace(other, seed=recipe.seed + i), context=inner, device=context.device) for i in range(count)
        ]
    made["full_real"] = [Distilled.of(context.real.train)]
    return made


def measure(sets: Sets, protocol: Protocol, context: Context) -> Report:
    """Rows for every set, with every kind of labels and of every student of the protocol. Opens the held-out pictures.

    Raises:
        UserError: the held-out pictures were learned from, labels are none, or a teacher of the protocol knows too little.
    """
    for labeler in protocol.labelers:
        labeler.check(context.real)
        check_teachers(labeler, context)
    held_out = open_held_out(context.real)
    log.info("%s pictures of %s are opened: %d", context.real.split, context.real.name, len(held_out))
    notes = check_apart(held_out, sets, context)
    found, seconds = [], {}
    for name, made in sets.items():
        started = time.monotonic()
        found += rows(name, made, protocol, context, held_out)
        seconds[f"evaluate {name}"] = time.monotonic() - started
    return Report(found, seconds, (*notes, *leakage(protocol, context.real)))


def leakage(protocol: Protocol, data: RealData) -> Iterator[str]:
    """What a reader must know of the teachers that a protocol brings."""
    for words, labeler in zip(spell(protocol.labelers), protocol.labelers, strict=True):
        for origin in labeler.origins(data.licence):
            saw = f"it saw {origin['saw']}" if origin.get("saw") else "what it saw is not stated"
            yield f"Labels by {words}: {origin['name']}; {saw}."


def check_held_out(data: RealData) -> None:
    """Refuse data without held-out pictures, before anything is made."""
    if not len(data.train):
        raise UserError(
            f"{data.name} are no pictures to judge a set by: `gendistill evaluate PATH --real SOURCE` takes real ones"
        )
    if data.test is None:
        raise UserError(
            f"{data.name} has no test pictures to judge a set by: name some with test=..., or hold out a part of the "
            "training pictures with real='Validation(...)'"
        )


def open_held_out(data: RealData) -> Images:
    """The held-out pictures."""
    check_held_out(data)
    assert data.test is not None
    return data.test()


def rows(name: str, made: Sequence[Distilled], protocol: Protocol, context: Context, held_out: Images) -> Iterator[Row]:
    """The lines of all sets of this name: for each kind of labels every student, and the mean over them where there are several."""
    for labeler, chosen in labelled(name, made, protocol.labelers, context):
        found = [row(name, chosen, alone, context, held_out, labeler) for alone in protocol.each]
        yield from found
        if len(found) > 1:
            yield mean(found)


def row(
    name: str, made: Sequence[Distilled], protocol: Protocol, context: Context, held_out: Images, labeler: str = ""
) -> Row:
    """One line of the table: students on every set of this name, each from a seed of its own."""
    whole, images = name == "full_real", made[0].images
    training = protocol.full if whole else protocol.training_for(made[0].ipc, len(images.classes))
    total = 1 if whole else max(protocol.sets * protocol.students, len(made))
    pairs = [(made[i % len(made)], i) for i in range(total)]
    title = f"{name} {made[0].soft.kind}"
    inner, outer = (context.progress, silent) if whole else (silent, context.progress)
    found = [examined(one, protocol, training, i, context, held_out, inner) for one, i in outer(pairs, title, total)]
    scores, names = [float(one["accuracy"]) for one in found], unique_names(images.classes)
    by_class = torch.stack([one["per class"] for one in found]).mean(0).tolist()
    known = {name: one for name, one in zip(names, by_class, strict=True) if not math.isnan(one)}
    epochs = training.passes(len(images))
    return Row(
        set=name, labels=made[0].soft.kind, labeler=labeler, student=str(protocol.student), protocol=protocol.name, epochs=epochs,
        distinct=None if images.distinct == 1 else len(images) * min(images.distinct, epochs),
        ipc=None if whole else made[0].ipc, split=context.real.split, training=repr(training), scores=tuple(scores),
        **summary(scores), bytes=size(made[0], context), per_class=known,
        calibration_error=statistics.fmean(float(one["calibration error"]) for one in found),
    )  # fmt: skip


def mean(found: Sequence[Row]) -> Row:
    """The mean over several students, seed by seed. Epochs are those of the student that takes most."""
    scores = [statistics.fmean(each) for each in zip(*(one.scores for one in found), strict=True)]
    trainings = {one.training for one in found}
    return replace(
        found[0], student=f"mean of {len(found)} students", epochs=max(one.epochs for one in found), scores=tuple(scores),
        training=found[0].training if len(trainings) == 1 else "", **summary(scores),
        per_class={name: statistics.fmean(one.per_class[name] for one in found) for name in found[0].per_class},
        calibration_error=statistics.fmean(one.calibration_error or 0.0 for one in found),
    )  # fmt: skip


def summary(scores: Sequence[float]) -> dict[str, Any]:
    """Mean, deviation and number of accuracies, as a row has them."""
    std = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return {"mean": statistics.fmean(scores), "std": std, "n": len(scores)}


def size(made: Distilled, context: Context) -> int:
    """Bytes a user stores: the generator, or pictures, which are encoded once to be counted, labels and soft labels."""
    if made.images.bytes is not None:
        return sum(made.sizes.values())
    key = {"set": made.images.fingerprint}
    counted = context.store.tensors("bytes", key, lambda: {"images": torch.tensor(made.sizes["images"])})
    return int(counted["images"]) + sum(made.label_sizes.values())


def score(
    made: Distilled,
    protocol: Protocol,
    training: Training,
    seed: int,
    context: Context,
    held_out: Images,
    progress: Callable[..., Iterable] = silent,
) -> float:
    """Accuracy in percent of one student after its last epoch."""
    return float(examined(made, protocol, training, seed, context, held_out, progress)["accuracy"])


def examined(
    made: Distilled,
    protocol: Protocol,
    training: Training,
    seed: int,
    context: Context,
    held_out: Images,
    progress: Callable[..., Iterable] = silent,
) -> dict[str, torch.Tensor]:
    """What one student knows after its last epoch; kept in the store, so a killed evaluation goes on.

    Its accuracy and those by class, (k,), in percent (NaN for a class without pictures), and its calibration error in [0, 1].
    """
    key = {
        "set": made.images.fingerprint, "weight": fingerprint(made.weight), "student": repr(protocol.student), "seed": seed,
        "labels": "hard" if made.soft.kind == "hard" else made.soft.fingerprint,
        "training": repr(training), "held out": held_out.fingerprint, "statistics": repr(context.statistics),
        "device": context.device.type,
    }  # fmt: skip

    def run() -> dict[str, torch.Tensor]:
        net = build(protocol.student, shape_of(context), seeds.number(seed, "student"), context.device)
        train(
            net,
            made.images,
            training,
            seeds.number(seed, "student", "order"),
            context.device,
            soft=made.soft,
            weight=None if bool((made.weight == 1).all()) else made.weight,
            progress=progress,
            what="full real data",
        )
        found = of_logits(logits(net, held_out, context.device), held_out.labels)
        by_class = [math.nan if one is None else one for one in found.per_class.accuracy]
        return {
            "accuracy": torch.tensor(found.accuracy, dtype=torch.float64),
            "per class": torch.tensor(by_class, dtype=torch.float64),
            "calibration error": torch.tensor(found.calibration.ece, dtype=torch.float64),
        }

    return context.store.tensors("examined", key, run)
