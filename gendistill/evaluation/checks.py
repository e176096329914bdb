"""What must be in order before a set is judged: no test picture in what was learned from, and labels that can be labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.comparing.result import BASELINES
from gendistill.evaluation.sets.made_from import MadeFrom, made_from, own_pictures
from gendistill.evaluation.sets.prints import kept_prints, prints
from gendistill.types import Images, LogProbs, RealData, UserError

log = logging.getLogger("gendistill")

TOLERATED = 0.01
"""Share of held-out pictures that may be training pictures, too. Published splits hold a few: a fifth of CIFAR-100's training
pictures holds 3 of its 10,000 test pictures."""
SUM_ERROR = 1e-2
"""How far probabilities may be from a sum of 1 that were kept in 16 bits."""


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


def check_apart(held_out: Images, sets: Mapping[str, Sequence[Distilled]], context: Context) -> list[str]:
    """Refuse held-out pictures that were learned from, by the content of each; return what a reader must know of a few of them.

    Raises:
        UserError: too many of them are training pictures, or one is in a set and no training picture.
    """
    real = context.real
    train, test = kept_prints(real.train, context), kept_prints(held_out, context)
    both = torch.isin(test, train)
    count = int(both.sum())
    if count > TOLERATED * len(test):
        raise UserError(
            f"{count:,} of the {len(test):,} {real.split} pictures of {real.name} are among its training pictures, pixel for "
            "pixel: accuracies on them would say nothing. Give test pictures of their own, or hold out a part of the training "
            "pictures with real='Validation(...)'"
        )
    for name, made in sets.items():
        for one in made if name != "full_real" else ():
            stolen = int(torch.isin(prints(one.images), test[~both]).sum())
            if stolen:
                raise UserError(
                    f"{stolen:,} of the {len(one.images):,} pictures of the set {name!r} are {real.split} pictures of "
                    f"{real.name}, of which no set may be made: distil from the training pictures, or judge it by other data"
                )
    notes = list(from_elsewhere(test, sets, context))
    if not count:
        return notes
    log.warning("%d of %d %s pictures are training pictures, too", count, len(test), real.split)
    return [
        f"{count:,} of the {len(test):,} {real.split} pictures are also training pictures, pixel for pixel.",
        *notes,
    ]


def from_elsewhere(test: Tensor, sets: Mapping[str, Sequence[Distilled]], context: Context) -> Iterator[str]:
    """What a reader must know of sets that were made from other data than they are judged by.

    Raises:
        UserError: held-out pictures, of these prints, are among those.
    """
    real = context.real
    for name, made in sets.items():
        found = MadeFrom.THESE if name in BASELINES else made_from(made[0], context)
        if found in (MadeFrom.THESE, MadeFrom.NONE):
            continue
        try:
            own = own_pictures(made[0])
        except UserError as error:
            log.warning("what the set %r was made from does not open: %s", name, error)
            own = None
        if own is None or own.shape != real.train.shape:
            lacking = "is not known" if found is MadeFrom.UNKNOWN else "could not be looked at"
            yield f"What the set {name!r} was made from {lacking}: it may have seen these {real.split} pictures."
            continue
        seen = int(torch.isin(test, kept_prints(own, context)).sum())
        if seen > TOLERATED * len(test):
            raise UserError(
                f"{seen:,} of the {len(test):,} {real.split} pictures of {real.name} are among the training pictures of "
                f"{made[0].recipe.real!r}, which the set {name!r} was made from: accuracies on them would say nothing. Judge "
                "it by pictures that its recipe did not see, or distil from `Validation(...)` to have some left"
            )
        if seen:
            yield f"The set {name!r} was made from pictures that hold {seen:,} of these {len(test):,} {real.split} pictures."


def check_labels(made: Distilled, name: str, views: int | None = None) -> None:
    """Refuse soft labels that are those of another set, or no probabilities. Looks at all that are stored, or the first ``views``.

    Raises:
        UserError: they know more or fewer pictures or classes than the set ``name``, do not sum to one, or are not numbers.
    """
    soft, count, classes = made.soft, len(made.images), len(made.images.classes)
    if soft.kind == "hard" or not count:
        return
    try:
        parts = [soft.at(part).double().cpu() for part in torch.arange(count).split(256)]
    except IndexError:
        raise UserError(
            f"the labels of the set {name!r} end before its {count:,} pictures do: they are of another set"
        ) from None
    said = torch.cat(parts)
    if said.shape[1] != classes:
        raise UserError(
            f"the labels of the set {name!r} are over {said.shape[1]:,} classes, its pictures of {classes:,}: they are of "
            "another set"
        )
    if soft.kind != "online" and knows(made, count):
        raise UserError(f"the labels of the set {name!r} go on after its {count:,} pictures: they are of another set")
    for view in range(soft.count)[:views]:
        check_sums(said if view == 0 else soft.at(torch.arange(count), view), name, view if soft.count > 1 else None)


def check_sums(said: LogProbs, name: str, view: int | None) -> None:
    """Refuse log-probabilities that do not sum to one, or are not numbers; ``view`` is the one that they are of, if any."""
    total = said.double().exp().sum(1)
    wrong = ~((total - 1).abs() <= SUM_ERROR)  # so that NaN is wrong, too
    if bool(wrong.any()):
        first, where = int(torch.nonzero(wrong)[0]), "" if view is None else f" in view {view}"
        raise UserError(
            f"{int(wrong.sum()):,} of the {len(said):,} soft labels of the set {name!r}{where} are no probabilities: that of "
            f"picture {first} sums to {float(total[first]):.4g}; give log-probabilities, or use hard labels, distilled.hard()"
        )


def knows(made: Distilled, position: int) -> bool:
    """Whether there is a label for a picture at this position. Labels that are kept lie on the CPU, where that is an error."""
    try:
        made.soft.at(torch.tensor([position]))
    except IndexError:
        return False
    return True
