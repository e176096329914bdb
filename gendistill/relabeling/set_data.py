"""The real pictures of a finished set, opened once more: those it was made from, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from gendistill.context import Context, open_real
from gendistill.distilled import Distilled
from gendistill.evaluation.sets.made_from import MadeFrom, made_from
from gendistill.types import Source, UserError


def opened(source: Source, made: Distilled, device: torch.device, progress: Callable[..., Iterable]) -> Context:
    """The real pictures of a set that is finished, so that no prior is needed.

    Raises:
        UserError: the set was made from others, or does not fit them.
    """
    context = open_real(source, device, progress)
    train = context.real.train
    if made.classes != train.classes or made.images.shape != train.shape:
        raise UserError(
            f"the set has {len(made.classes)} classes of pictures {made.images.shape}, the real data {context.real.name} "
            f"{len(train.classes)} of {train.shape}: give those it was made from, in the order of its classes"
        )
    check_same_pictures(made, context)
    return context


def check_same_pictures(made: Distilled, context: Context) -> None:
    """Refuse real pictures where a set was made from others: they may hold its test pictures.

    Raises:
        UserError: it was.
    """
    if made_from(made, context) is MadeFrom.OTHERS:
        own = made.origin["real"].get("name", "other pictures")
        raise UserError(
            f"the set was made from {own}, and {context.real.name} are other pictures: teachers would learn from them, and labels "
            "be chosen by them, though its test pictures may be among them. Give those it was made from, or distil again from these"
        )
