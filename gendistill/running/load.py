"""A finished set, read from its folder. Teachers that label online and a generator that draws are loaded when they are asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from gendistill.context import Context, open_real
from gendistill.distilled import Distilled
from gendistill.labelers import stored
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.online import OnlineLabels
from gendistill.running.drawn import DrawnImages
from gendistill.running.shards import ShardImages
from gendistill.system.devices import device_of
from gendistill.system.store import read_json
from gendistill.types import Class, Images, RealData, SoftLabels, UserError

SET_FOLDER = re.compile(r"seed-(-?\d+)")
"""How the folder of a set is called in that of a run."""


def load(folder: str | Path, device: str | torch.device = "auto") -> Distilled:
    """The distilled set of a run directory, of one of its sets, or of a folder that `gendistill.export` wrote.

    Of an exported set these are its pictures, labels, weights, ids and prompts; its recipe stands in its card. Of a generator it is
    what was drawn first, and teachers that label online are not in it.

    Args:
        folder: the directory; of a set of the hub, its downloaded repository.
        device: where teachers are asked that label online, and a generator draws; "auto" takes a GPU where there is one.

    Returns:
        The set; of a run with several, that of the lowest seed.

    Raises:
        UserError: there is none, or it is not finished, or the labels are of another set.
    """
    from gendistill.config.overrides import read_value

    root, where = Path(folder), device_of(device)
    for place in (root, *set_folders(root)):
        if (place / "set.json").exists():
            return read_set(place, read_value, device=where)
    if (root / "run.json").exists():
        raise UserError(f"the run in {root} has no finished set yet; go on with --resume")
    from gendistill.evaluation.sets.foreign import exported, exported_files  # datasets with it, which no run waits for

    if exported_files(root):
        return exported(root)
    raise UserError(
        f"no run of gendistill in {root}, and no set that it exported (of the hub, download one first: `hf download ID --repo-type "
        "dataset --local-dir DIR`); `gendistill evaluate` also reads image folders, Parquet and .pt files"
    )


def set_folders(run: Path) -> list[Path]:
    """The sets of a run directory, the lowest seed first; folders that are called otherwise (a backup of one) are none."""
    named = ((SET_FOLDER.fullmatch(place.name), place) for place in (run / "sets").glob("seed-*"))
    return [place for _, place in sorted((int(match[1]), place) for match, place in named if match)]


def read_set(
    folder: Path,
    read_value: Any = None,
    *,
    recipe: Any = None,
    context: Context | None = None,
    device: str | torch.device = "cpu",
) -> Distilled:
    """A finished set from its folder. Teachers and a generator are made again when they are asked for, of the same real pictures.

    Args:
        folder: the one of the set.
        read_value: makes the recipe of its text.
        recipe: that made it, where it is known.
        context: data that are open already, for teachers that label online.
        device: where they are asked, and a generator draws, where none are.

    Raises:
        UserError: when they are asked for: the real pictures are others now, or the recipe held loaded objects.
    """
    about = read_json(folder / "set.json")
    classes = tuple(Class(**c) for c in about["classes"])
    images: Images = ShardImages(classes, [folder / "shards" / name for name in about["shards"]])
    ids, weight, prompts = images.ids, images.weight, images.prompts
    if recipe is None and read_value is not None:
        try:
            recipe = read_value(about["recipe"])
        except UserError:
            recipe = about["recipe"]  # it held loaded objects, which text cannot make again
    told = about.get("soft", {"temperature": about.get("temperature", 1.0)})
    if stored.kind_of(told) == "online":
        soft = _online(images, recipe, about, context, torch.device(device))
    else:
        soft = stored.read(folder, told, images)
    if about.get("draws", 1) > 1:
        images = DrawnImages(images, about["draws"], folder / "generator", _opened(recipe, about, torch.device(device)))
    return Distilled(images, soft, ids, weight, recipe, about["origin"], prompts)


def _online(
    images: Images, recipe: Any, about: Mapping[str, Any], context: Context | None, device: torch.device
) -> SoftLabels:
    """Labels by the recipe's teachers, who are loaded when the first are asked for; of the data, the real ones are opened."""

    def teachers() -> tuple[Ensemble, Context]:
        if recipe is None or isinstance(recipe, str):
            raise UserError(
                "the teachers of this set were loaded objects: label it anew, or use the hard labels, distilled.hard()"
            )
        opened = open_real(recipe.real, device) if context is None else context.of(())
        _check_data(opened.real, about, "label it anew, or use the hard labels, distilled.hard()")
        return recipe.labeler, replace(opened, prior=None, seed=recipe.seed, ipc=recipe.ipc)

    told = about["soft"]
    loss = stored.value(told.get("loss", "None"))
    views, known = stored.value(told["views"]), told.get("teachers", "")
    return OnlineLabels(images, views, told["temperature"], teachers, loss, known)


def among(made: Distilled, context: Context) -> Distilled:
    """The set, with online labels by teachers of the real pictures that are open, where these are those it was made of.

    Those of its recipe may be at another place now.
    """
    recipe, told = made.recipe, made.origin.get("real", {}).get("fingerprint")
    if not isinstance(made.soft, OnlineLabels) or recipe is None or isinstance(recipe, str):
        return made
    if told != context.real.train.fingerprint:
        return made
    return replace(
        made, soft=made.soft.asking(recipe.labeler, replace(context.of(()), seed=recipe.seed, ipc=recipe.ipc))
    )


def _opened(recipe: Any, about: Mapping[str, Any], device: torch.device) -> Callable[[int], Images]:
    """Draws sets by a recipe, whose data and prior are opened when the first is asked for."""

    @cache
    def draw() -> Callable[[int], Images]:
        from gendistill.running.distill import drawer, open_context

        if recipe is None or isinstance(recipe, str):
            raise UserError(
                "the recipe of this set held loaded objects: call distill() with it again to draw from its generator"
            )
        # Before a prior is trained on them.
        _check_data(open_real(recipe.real, device).real, about, "only the pictures it drew first can be had")
        return drawer(recipe, open_context(recipe, device, getattr(torch, about.get("dtype", "float32"))))

    return lambda number: draw()(number)


def _check_data(real: RealData, about: Mapping[str, Any], otherwise: str) -> None:
    """Refuse real pictures that are not those a set was made of, where it says which: what follows from them would be another."""
    made_of = about["origin"].get("real", {}).get("fingerprint")
    if made_of and real.train.fingerprint != made_of:
        raise UserError(
            f"the training pictures of {real.name} are not those this set was made of, so that its teachers or generator would be "
            f"others: bring back the pictures as they were; else {otherwise}"
        )
