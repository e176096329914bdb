"""`distill`: one recipe, once, left to right, into a folder that says what is done and what is left.

Neighbouring steps of one scope are executed together, unit by unit; a unit's result is one file, written atomically, and a
unit whose file exists is not worked on again. So a killed run goes on where it was, and ends with the same bytes.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import torch

from gendistill.capabilities import Saves
from gendistill.config.parts import inside
from gendistill.context import Context, open_real, silent
from gendistill.distilled import Distilled
from gendistill.labelers.online import Online
from gendistill.nets.guessing import check_teachers
from gendistill.nets.trained import check_nets
from gendistill.recipe import Recipe
from gendistill.running.drawn import DrawnImages
from gendistill.running.execute import drawn, finished, rehearse, run_stage, tuned
from gendistill.running.load import read_set
from gendistill.running.stages import stages
from gendistill.running.statement import provenance_of
from gendistill.system import ranks
from gendistill.system.devices import device_of
from gendistill.system.locks import LOCK, alone, standing
from gendistill.system.store import clear_parts, fingerprint, write_json, write_text
from gendistill.types import Images, RealData, UserError

log = logging.getLogger("gendistill")


def open_context(
    recipe: Recipe,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[..., Iterable] = silent,
    *,
    dry: bool = False,
) -> Context:
    """Open the data, make the prior ready, check that everything fits, and load the weights. Nothing is written to the run.

    ``dry`` trains nothing: an untrained prior of the same size stands in where there are no weights yet.

    Raises:
        UserError: anything the user has to mend.
    """
    opened = open_real(recipe.real, device, progress)
    check_data(opened.real, recipe)
    data, asked = opened.real, {"seed": recipe.seed, "ipc": recipe.ipc, "block": recipe.block}
    context = replace(opened, dtype=dtype, dry=dry, **asked)
    recipe.prior.check(data)  # before anything is trained
    if dry:
        return replace(context, prior=recipe.prior.sketch(data, device, dtype))
    prior = recipe.prior.prepare(context)
    if prior is not recipe.prior:
        prior.check(data)
    return replace(context, prior=prior.load(data, device, dtype))


def check_data(data: RealData, recipe: Recipe) -> None:
    """Refuse data that cannot give what the recipe asks of them: pictures in every class, and enough for every step.

    Data may be names of classes alone, for recipes that look at no real picture.
    """
    if not len(data.train):
        check_names_do(data, recipe)
    counts = torch.bincount(data.train.labels, minlength=len(data.classes))
    empty = [str(data.classes[index]) for index in torch.nonzero(counts == 0).flatten().tolist()]
    if empty and len(data.train):
        raise UserError(f"{len(empty)} classes of {data.name} have no training pictures: {', '.join(empty[:10])}")
    for step in recipe.steering:
        step.check(data, recipe.ipc)
    recipe.labeler.check(data)
    check_nets(recipe, data)


def check_names_do(data: RealData, recipe: Recipe) -> None:
    """Refuse a recipe some part of which looks at real pictures, where there are none."""
    looking = [type(one).__name__ for one in inside(recipe) if getattr(one, "looks_at_real", False)]
    if looking:
        raise UserError(
            f"{', '.join(dict.fromkeys(looking))} must look at real pictures, and there are none, only {data.name}: give them as "
            "`real`, for example ImageNetSubset(..., root=DIR), or leave that part out"
        )


def check_room(recipe: Recipe, data: RealData, folder: Path, sets: int = 1) -> None:
    """Refuse to begin when the pictures of so many sets, what they are made from, and one more copy cannot fit on the disk."""
    pictures = recipe.ipc * len(data.classes)
    need = (2 * sets + 1) * pictures * math.prod(data.train.shape) + (16 << 20)
    free = shutil.disk_usage(standing(folder)).free
    if free < need:
        raise UserError(
            f"{sets * pictures} pictures need about {need / 1e6:.0f} MB in {folder}, {free / 1e6:.0f} MB are free; "
            "make room, choose another --out, or lower ipc"
        )


def distill(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    resume: bool = True,
    progress: Callable[..., Iterable] = silent,
    context: Context | None = None,
) -> Distilled:
    """Run a recipe and return the distilled set.

    Args:
        recipe: what to do.
        out: folder of the set; None for a place in the cache that follows from the recipe and the data.
        device: where to compute; "auto" takes a GPU where there is one.
        dtype: of the denoiser; guidance, decoding and labels are float32 always.
        resume: go on with what is in ``out``, or wait for who works there; False refuses a folder that is not empty.
        progress: wraps iterables to show how far they are.
        context: data and prior that are open already, for several recipes over them.

    Raises:
        UserError: the recipe cannot work with its data or prior, a teacher that is to steer or label guesses, ``out`` belongs to
            another recipe, or the disk is full.
    """
    ranks.wait()  # who meets first says how long all will wait; a training in here would say less
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    given = context or open_context(recipe, device_of(device), kind, progress)
    context = given.anew(seed=recipe.seed, ipc=recipe.ipc, block=recipe.block)
    identity = identify(recipe, context)
    folder = Path(out) if out is not None else context.store.root / "sets" / identity
    if ranks.first():
        look_at(folder, identity, resume)
    # Runs side by side may need the same set; the processes of one run work on it together, and the first holds it for all.
    # A finished set is only read, and may lie where nothing can be written.
    held = ranks.first() and not (folder / "set.json").exists()
    with alone(folder, wait=True) if held else nullcontext():
        if not (folder / "set.json").exists():
            check_room(recipe, context.real, folder)
            rehearse(recipe, context)
            if ranks.first():
                if not isinstance(recipe.labeler, Online):  # whose teachers are asked, and then looked at, later
                    check_teachers(recipe.labeler, replace(given, seed=recipe.seed, ipc=recipe.ipc))
                check_teachers(recipe.steering, replace(given, seed=recipe.seed, ipc=recipe.ipc))
        if ranks.first():  # what was refused until here leaves the folder to another recipe
            claim(folder, identity, resume)
        ranks.wait()  # a folder that is just being claimed looks like one of something else
        if not (folder / "set.json").exists():
            if ranks.first():
                clear_parts(folder)
            ranks.wait()
            for stage in stages(recipe):
                run_stage(stage, recipe, context, folder)
            if ranks.first():
                finish(recipe, context, folder, identity)
            ranks.wait()
    # Teachers that label online outlive the stage: several sets of one caller ask the same ones.
    done = read_set(folder, recipe=recipe, context=given)
    images = done.images
    if isinstance(images, DrawnImages):
        images = images.by(drawer(recipe, context))
    return replace(done, images=images)


def drawer(recipe: Recipe, context: Context) -> Callable[[int], Images]:
    """Makes the set of pictures of any draw of a recipe that distils a generator."""

    @cache
    def generator() -> Context:
        inner = context.anew(seed=recipe.seed, ipc=recipe.ipc, block=recipe.block, progress=silent)
        return tuned(recipe.steering, inner)

    return lambda number: drawn(recipe, generator(), number)


def identify(recipe: Recipe, context: Context) -> str:
    """What a set follows from: the recipe, the pictures, the prior's weights, and the arithmetic."""
    assert context.prior is not None
    return fingerprint(
        repr(recipe), context.real.train.fingerprint, context.prior.fingerprint, str(context.dtype), context.device.type
    )


def look_at(folder: Path, identity: str, resume: bool) -> None:
    """Refuse a folder that this recipe may not have; a lock and a mark that was half-written are nobody's.

    Raises:
        UserError: it holds something else, or ``resume`` is False and it holds anything.
    """
    if not (place := standing(folder)).is_dir():
        raise UserError(f"{place} is no folder; choose another one for the set")
    mark = folder / "identity"
    if mark.exists() and mark.read_text() != identity:
        raise UserError(
            f"{folder} belongs to another recipe, other data or another prior, or was begun on another kind of device or in "
            "another dtype; choose another folder, or overwrite it"
        )
    there = [path.name for path in folder.iterdir()] if folder.exists() else []
    if all(name.startswith(LOCK) or fnmatch(name, ".identity.*.part") for name in there):
        return
    if not mark.exists():
        raise UserError(f"{folder} is not empty and holds no run of gendistill; choose another folder")
    if not resume:
        raise UserError(f"{folder} holds a run of this recipe; go on with --resume, or start anew with --overwrite")


def claim(folder: Path, identity: str, resume: bool) -> None:
    """Take a folder for this recipe. Raises what `look_at` raises: another process may have been here since."""
    look_at(folder, identity, resume)
    mark = folder / "identity"
    if not mark.exists():
        write_text(mark, identity)


def finish(recipe: Recipe, context: Context, folder: Path, identity: str) -> None:
    """Label the pictures and write down what they are; the set exists once this is done."""
    images = finished(recipe, context, folder)
    assert images is not None
    names = [f"pictures/{shard.name}" for shard in images.shards]
    soft = recipe.labeler(images, context.of(()))
    told = {**soft.save(folder), "set": images.fingerprint}
    if recipe.draws > 1:
        save_generator(recipe, context, folder / "generator")
    write_json(
        folder / "set.json",
        {
            "identity": identity,
            "recipe": repr(recipe),
            "classes": [asdict(c) for c in context.real.classes],
            "shards": names,
            "draws": recipe.draws,
            "dtype": str(context.dtype).removeprefix("torch."),
            "soft": told,
            "origin": provenance_of(recipe, context),
        },
    )
    shutil.rmtree(folder / "work", ignore_errors=True)
    log.debug("%d pictures of %d classes in %s", len(images), len(images.classes), folder)


def save_generator(recipe: Recipe, context: Context, folder: Path) -> None:
    """Write the prior as the recipe's steps leave it, whole or not at all."""
    prior = tuned(recipe.steering, context).prior
    assert isinstance(prior, Saves)  # the recipe saw to it
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    prior.save(part)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
