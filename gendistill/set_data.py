"""The real pictures of a finished set, opened once more: those it was made from, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from gendistill.context import Context, open_real
from gendistill.data.class_names import ClassNames
from gendistill.distilled import Distilled
from gendistill.evaluation.checks import known_as
from gendistill.recipe import Recipe
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
    """Refuse real pictures that a set with real pictures of its own was not made from: they may hold its test pictures.

    Raises:
        UserError: they are others.
    """
    own, real, recipe = made.origin.get("real", {}), context.real, made.recipe
    if own.get("fingerprint", real.train.fingerprint) == real.train.fingerprint:
        return
    if (
        isinstance(recipe, Recipe)
        and not isinstance(recipe.real, ClassNames)
        and not same_content(recipe.real, context)
    ):
        raise UserError(
            f"the set was made from {own.get('name', 'other pictures')}, and {real.name} are other pictures: teachers would learn "
            "from them, and labels be chosen by them, though its test pictures may be among them. Give those it was made from, or "
            "distil again from these"
        )


def same_content(source: Source, context: Context) -> bool:
    """Whether the training pictures of a source are those of the context, however they are kept; not where it does not open."""
    try:
        own = source.open().train
    except UserError:
        return False
    return known_as(own, context) == known_as(context.real.train, context)
