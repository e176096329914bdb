"""Random real pictures for the bytes of a set: labels of views, or a generator, can cost more than the pictures they come with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.report import Row
from gendistill.formatting import spell_bytes, spell_labels
from gendistill.labelers.hard import Hard
from gendistill.running.distill import distill
from gendistill.types import Images

WORTH = 1.5
"""Times as many pictures as the set has, from which on they are drawn: fewer would say what as many of them say."""


def more_for_the_bytes(
    found: Sequence[Row], real: Sequence[Distilled], context: Context
) -> Iterator[tuple[str, list[Distilled]]]:
    """What a reader must know, and random real pictures with hard labels, as many as cost what a row of the distilled set does.

    None where they would be all of a class, which have a row, nor for the weight of teachers that are asked online.

    Args:
        found: rows of the distilled set, and of random real pictures of its IPC with hard labels.
        real: these random real pictures, made by a recipe.
        context: data that are open already.
    """
    plain = {row.ipc: row.bytes for row in found if (row.set, row.labels) == ("random_real", "hard")}
    told: dict[int, str] = {}
    for row in found:
        # Teachers that are asked online serve any set: what they weigh is told, and would be thousands of pictures to learn from.
        if row.set != "distilled" or row.labels == "online" or not row.ipc or row.ipc not in plain:
            continue
        if count := drawn_for(row.bytes, row.ipc, plain[row.ipc], context.real.train):
            told[count] = (
                f"IPC {count} is what the {spell_bytes(row.bytes)} of the distilled set at IPC {row.ipc}, with "
                f"{spell_labels(row.labels, row.labeler)}, hold of random real pictures with hard labels."
            )
    for count, words in sorted(told.items()):
        yield words, [_of(one, count, context) for one in real]


def drawn_for(cost: float, ipc: int, plain: float, real: Images) -> int:
    """Random ``real`` pictures a class that ``cost`` bytes hold, where ``ipc`` a class cost ``plain``; 0 where that is no row."""
    most = int(torch.bincount(real.labels, minlength=len(real.classes)).min())
    count = int(cost * ipc / plain)
    return count if WORTH * ipc <= count < most else 0


def _of(made: Distilled, count: int, context: Context) -> Distilled:
    """So many random real pictures a class, by the seed of others."""
    recipe = replace(made.recipe, ipc=count, labeler=Hard())
    prior = recipe.prior.load(context.real, context.device, context.dtype)
    return distill(recipe, context=replace(context, prior=prior), device=context.device)
