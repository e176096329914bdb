"""Which accuracies rest on teachers that others trained, on pictures nobody states here. They stand marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.sets.made_from import MadeFrom, made_from
from gendistill.labelers.base import Labeler
from gendistill.provenance import NO_LEAKAGE_STATEMENT
from gendistill.recipe import Recipe


def taught_elsewhere(made: Distilled, labeler: Labeler | None, licence: str) -> bool:
    """Whether a teacher who chose, shaped or labelled these pictures may have seen any; ``labeler`` is None for the set's own.

    Where the recipe is not known, its provenance lists all teachers together, and so all labels of the set are marked.
    """
    own = labeler is None and made.soft.kind != "hard"
    if labeler is not None and unstated(labeler.origins(licence)):
        return True
    if isinstance(made.recipe, Recipe):
        roles = (*made.recipe.steering, *([made.recipe.labeler] if own else []))
        return unstated(one for role in roles for one in role.origins(licence))
    return unstated(made.origin["teachers"]) if "teachers" in made.origin else own


def unstated(origins: Iterable[Mapping[str, str]]) -> bool:
    """Whether one of these does not say what it saw."""
    return any(not one.get("saw") for one in origins)


def leakage_of(made: Distilled, context: Context) -> str:
    """Whether prior or teachers of a set saw the pictures it is judged by, as far as it says.

    It speaks of its own data alone, and of all where it was made from none.
    """
    speaks = made_from(made, context) in (MadeFrom.THESE, MadeFrom.NONE)
    return (speaks and made.origin.get("leakage")) or NO_LEAKAGE_STATEMENT
