"""The sets that are meant by a path or by values, read, beside the real data that they are judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from gendistill.context import Context, open_real, silent
from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_held_out
from gendistill.evaluation.sets import foreign
from gendistill.recipe import Recipe
from gendistill.running.distill import open_context
from gendistill.running.load import among, load, set_folders
from gendistill.system.devices import device_of
from gendistill.types import Source, UserError


@dataclass(frozen=True)
class Opened:
    """Sets that are to be judged, and what by.

    sets     one, or several made by the same recipe from different seeds
    context  the real data
    real     where these come from; None where they are those of the recipe of the sets
    """

    sets: list[Distilled]
    context: Context
    real: Source | None = None


AnySets: TypeAlias = Distilled | Sequence[Distilled] | str | Path | Opened
"""Sets, or where they are."""


def open_sets(
    given: AnySets,
    *,
    real: Source | None = None,
    device: str | torch.device = "auto",
    progress: Callable[..., Iterable] = silent,
    context: Context | None = None,
) -> Opened:
    """The sets that are meant, and the real data they are judged by. What was opened before is returned as it is.

    Raises:
        UserError: nothing readable is there, it does not fit the real data, or these are not known or have no held-out pictures.
    """
    if isinstance(given, Opened):
        return given
    device, path = device_of(device), ""
    if isinstance(given, str | Path):
        path = str(given)
        if not path.strip():
            raise UserError("an empty path names no set: give a run, a folder, a file or a hub id; '.' is this folder")
        made = [load(folder, device) for folder in ours(Path(given))]
    else:
        made = values(given)
    recipe = recipe_of(made)
    if (
        path
        and not made
        and not Path(path).exists()
        and (real is None or Path(path).suffix in (".pt", ".pth", ".parquet"))
    ):
        raise UserError(f"{path} is not there: give a run, a folder, a file, or, with real=, a data set of the hub")
    if real is None and recipe is None:
        raise UserError(
            f"{path or 'this set'} does not say what it was distilled from: give real=, or --real on the command line, for example "
            '--real \'Parquet(train="train.parquet", test="test.parquet", size=32)\''
        )
    if recipe is not None and real in (None, recipe.real):
        context = context or open_context(recipe, device, torch.float32, progress)
        check_held_out(context.real)
        return Opened(made, context)
    assert real is not None
    context = context or open_real(real, device, progress)
    check_held_out(context.real)
    if made:
        found = [among(foreign.aligned(one, context.real, path or "the set"), context) for one in made]
    else:
        found = [foreign.read(path, context.real, context.device)]
    return Opened(found, context, real)


def values(distilled: object) -> list[Distilled]:
    """The sets in what was given in place of a path: one, or several.

    Raises:
        UserError: there is none, or something else among them.
    """
    given = list(distilled) if isinstance(distilled, Iterable) else [distilled]  # a Distilled is none
    made = [one for one in given if isinstance(one, Distilled)]
    if not made or len(made) < len(given):
        names = ", ".join(type(one).__name__ for one in given if not isinstance(one, Distilled))
        raise UserError(
            f"{f'{names} is no distilled set' if names else 'no set was given'}: give what distill() or load() returns, several of "
            "these made by one recipe, or the path of a run, an image folder, Parquet or a .pt file"
        )
    return made


def recipe_of(made: Sequence[Distilled]) -> Recipe | None:
    """The recipe that made some sets; None where nobody knows it."""
    return made[0].recipe if made and isinstance(made[0].recipe, Recipe) else None


def ours(place: Path) -> list[Path]:
    """The folders of all sets of a run, or the one of a set; none where it is a set of others."""
    return set_folders(place) if (place / "run.json").exists() else [place] if (place / "set.json").exists() else []
