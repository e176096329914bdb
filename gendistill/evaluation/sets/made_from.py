"""Whether a set was made from the real pictures that are at hand. Numbers, labels and statements of leakage depend on it."""

from __future__ import annotations

from enum import Enum, auto

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.sets.prints import known_as
from gendistill.recipe import Recipe
from gendistill.types import Images, UserError


class MadeFrom(Enum):
    """What a set was made from, beside the real training pictures at hand."""

    THESE = auto()
    """From them, however they are kept."""
    OTHERS = auto()
    """From other pictures, or from some that nobody can look at any more."""
    NONE = auto()
    """From words: no real picture had a part in it."""
    UNKNOWN = auto()
    """Nobody says."""


def made_from(made: Distilled, context: Context) -> MadeFrom:
    """What a set was made from, by its own word; pictures that are kept in another way are compared one by one."""
    told = made.origin.get("real", {})
    if "fingerprint" not in told:
        return MadeFrom.UNKNOWN
    if told["fingerprint"] == context.real.train.fingerprint:
        return MadeFrom.THESE
    if told.get("pictures") == 0:
        return MadeFrom.NONE
    try:
        own = own_pictures(made)
    except UserError:
        return MadeFrom.OTHERS
    if own is None or own.fingerprint != told["fingerprint"]:
        return MadeFrom.OTHERS
    if not len(own):
        return MadeFrom.NONE
    same = own.shape == context.real.train.shape and len(own) == len(context.real.train)
    return (
        MadeFrom.THESE if same and known_as(own, context) == known_as(context.real.train, context) else MadeFrom.OTHERS
    )


def own_pictures(made: Distilled) -> Images | None:
    """The training pictures of a set's recipe, as they are now; None where the recipe is not known.

    Raises:
        UserError: they do not open.
    """
    return made.recipe.real.open().train if isinstance(made.recipe, Recipe) else None
