"""The lines of the table: students are trained, each from a seed of its own, and asked what they know after the last epoch.

Student i of every set begins with the same weights and sees its pictures in the same order, so that sets can be compared seed by
seed. It learns from set i modulo the number of sets.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gendistill import seeds
from gendistill.context import Context, silent
from gendistill.distilled import Distilled
from gendistill.evaluation.elsewhere import taught_elsewhere
from gendistill.evaluation.labelled import labelled, spell
from gendistill.evaluation.metrics.examine import endure, of_logits
from gendistill.evaluation.metrics.stress import Stress
from gendistill.evaluation.protocol import Protocol
from gendistill.evaluation.report import Row
from gendistill.evaluation.sets.prints import known_as
from gendistill.evaluation.tables import UNHARMED
from gendistill.exporting.parquet import unique_names
from gendistill.learning.training import Training, train
from gendistill.nets.base import build
from gendistill.nets.logits import logits
from gendistill.nets.trained import shape_of
from gendistill.system.store import fingerprint
from gendistill.types import Images

log = logging.getLogger("gendistill")
Sets = Mapping[str, Sequence[Distilled]]
"""All sets of a comparison by name: "distilled", "random_real" ..."""
STRESSED = ("attacked", "corrupted", "attack_seconds")
"""What there is of a student that was put through stress, each by name."""


def rows(name: str, made: Sequence[Distilled], protocol: Protocol, context: Context, held_out: Images) -> Iterator[Row]:
    """The lines of all sets of this name: for each kind of labels every student, and the mean over them where there are several."""
    own = {one.soft.kind for one in made} - {"hard"}
    if protocol.labelers and own and name == "distilled":
        log.warning(
            "the set's own labels (%s) are passed over, for the protocol %s brings labelers: labelers=() measures them",
            ", ".join(sorted(own)),
            protocol.name,
        )
    by = dict(zip(spell(protocol.labelers), protocol.labelers, strict=True))
    for labeler, chosen in labelled(name, made, protocol.labelers, context):
        marked = taught_elsewhere(chosen[0], by.get(labeler), context.real.licence)
        found = [
            replace(row(name, chosen, alone, context, held_out, labeler), elsewhere=marked) for alone in protocol.each
        ]
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
    attacked, corrupted, seconds = (over_seeds(found, what, protocol.stress) for what in STRESSED)
    epochs = training.passes(len(images))
    return Row(
        set=name, labels=made[0].soft.kind, labeler=labeler, student=str(protocol.student), protocol=protocol.name, epochs=epochs,
        distinct=None if images.distinct == 1 else len(images) * min(images.distinct, epochs),
        ipc=None if whole else made[0].ipc, split=context.real.split, held_out=known_as(held_out, context),
        training=repr(training), scores=tuple(scores), **summary(scores), bytes=size(made[0], context), per_class=known,
        calibration_error=statistics.fmean(float(one["calibration error"]) for one in found),
        sets=min(len(made), total), attacked=attacked, corrupted=corrupted, attack_seconds=seconds,
    )  # fmt: skip


def over_seeds(found: Sequence[Mapping[str, torch.Tensor]], what: str, stress: Stress | None) -> dict[str, float]:
    """Means over students by what they were put through; empty where they were not. No clock was kept of those of before."""
    if stress is None or any(what not in one for one in found):
        return {}
    names = stress.corruptions if what == "corrupted" else map(str, stress.attacks)
    return dict(zip([UNHARMED, *names], torch.stack([one[what] for one in found]).mean(0).tolist(), strict=True))


def mean(found: Sequence[Row]) -> Row:
    """The mean over several students, seed by seed. Epochs are those of the student that takes most."""
    scores = [statistics.fmean(each) for each in zip(*(one.scores for one in found), strict=True)]
    trainings = {one.training for one in found}
    return replace(
        found[0], student=f"mean of {len(found)} students", epochs=max(one.epochs for one in found), scores=tuple(scores),
        training=found[0].training if len(trainings) == 1 else "", **summary(scores),
        **{name: by_name([getattr(one, name) for one in found]) for name in ("per_class", *STRESSED)},
        calibration_error=statistics.fmean(one.calibration_error or 0.0 for one in found),
    )  # fmt: skip


def by_name(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each entry that all have."""
    names = [name for name in found[0] if all(name in one for one in found)]
    return {name: statistics.fmean(one[name] for one in found) for name in names}


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
    """Accuracy in percent of one student after its last epoch, which is put through no stress."""
    return float(
        examined(made, replace(protocol, stress=None), training, seed, context, held_out, progress)["accuracy"]
    )


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

    Its accuracy and those by class, (k,), in percent (NaN for a class without pictures), and its calibration error in [0, 1]. Where
    the protocol puts it through stress, its accuracy on those pictures as they are, and then under each attack or corruption, and
    the seconds of each attack.
    """
    key = {
        "set": made.images.fingerprint, "weight": fingerprint(made.weight), "student": repr(protocol.student), "seed": seed,
        "labels": "hard" if made.soft.kind == "hard" else made.soft.fingerprint,
        "training": repr(training), "held out": held_out.fingerprint, "statistics": repr(context.statistics),
        "device": context.device.type,
    }  # fmt: skip
    if protocol.stress is not None:
        key["stress"] = repr(protocol.stress)

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
        told: dict[str, float | list[float]] = {
            "accuracy": found.accuracy, "per class": by_class, "calibration error": found.calibration.ece
        }  # fmt: skip
        if protocol.stress is not None:
            hit, worn = endure(net, held_out, context.device, protocol.stress)
            if hit is not None:
                told["attacked"] = [hit.clean, *(one.accuracy for one in hit.attacks)]
                told["attack_seconds"] = [hit.seconds, *(one.seconds for one in hit.attacks)]
            if worn is not None:
                told["corrupted"] = [worn.clean, *(statistics.fmean(one.accuracy) for one in worn.corruptions)]
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in told.items()}

    return context.store.tensors("examined", key, run)
