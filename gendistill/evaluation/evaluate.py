"""A set beside what it is compared with, and what all of them are worth: last epoch, mean and deviation over independent seeds.

The held-out pictures are opened once, after everything was made. Nothing is chosen by them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import torch

from gendistill.anchors.real_pictures import RealPictures
from gendistill.context import Context, silent
from gendistill.distilled import Distilled
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.checks import check_apart, check_held_out
from gendistill.evaluation.labelled import spell
from gendistill.evaluation.metrics.likeness import Features, likeness
from gendistill.evaluation.protocols import SCREENING, Protocol
from gendistill.evaluation.report import Report
from gendistill.evaluation.rows import Sets, rows
from gendistill.evaluation.same_bytes import more_for_the_bytes
from gendistill.evaluation.sets.astray import check_soft, doubts
from gendistill.evaluation.sets.opened import AnySets, Opened, open_sets, recipe_of
from gendistill.images import StoredImages
from gendistill.learning.training import IN_MEMORY_BYTES
from gendistill.nets.guessing import check_teachers
from gendistill.nets.trained import check_nets
from gendistill.priors.base import Prior
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.start import Start
from gendistill.types import Images, RealData, Source, UserError

log = logging.getLogger("gendistill")


def evaluate(
    distilled: AnySets,
    protocol: Protocol = SCREENING,
    *,
    real: Source | None = None,
    fidelity: bool = False,
    features: Features | None = None,
    device: str | torch.device = "auto",
    progress: Callable[..., Iterable] = silent,
    context: Context | None = None,
) -> Report:
    """What a small set is worth, beside random real pictures, those the protocol chooses, the unsteered prior, and all real ones.

    Where its bytes hold half as many random real pictures again, since its labels or its generator cost so much, these have a row.

    Args:
        distilled: one set, several made by the same recipe from different seeds, or where one is: a run, a folder of images or
            Parquet files, a data set of the hub, or a .pt file of images and labels; or what `open_sets` made of it, and then
            real data, device and progress are those it was opened with.
        protocol: which student, trained how, how often.
        real: the real data to compare with; None for those of the set's recipe.
        fidelity: also say how the pictures lie among the real training pictures, and whether they are copies of them.
        features: in which that is said, where not in those of the protocol's student, trained on all real pictures: of a network,
            such as TimmClassifier("resnet50.a1_in1k"), Clip() or a module, or a function from pixels in [0, 1] to (n, d).
        device: where to train; "auto" takes a GPU where there is one.
        progress: wraps iterables to show how far they are.
        context: data and prior that are open already.

    Raises:
        UserError: nothing readable is there, it does not fit the real data, or these are not known.
    """
    opened = open_sets(distilled, real=real, device=device, progress=progress, context=context)
    sets = beside(opened, protocol)
    return measure(sets, protocol, opened.context, same_bytes=True, fidelity=fidelity, features=features)


def beside(opened: Opened, protocol: Protocol) -> dict[str, list[Distilled]]:
    """What `evaluate` measures, all made, by name: the sets that were opened, and those they are compared with.

    Raises:
        UserError: the labels of the sets cannot be labels.
    """
    made, context = opened.sets, opened.context
    if not protocol.labelers:
        check_soft(made)
    recipe = recipe_of(made)
    if opened.real is not None:
        return {"distilled": made, **make_others(made[0], recipe, opened.real, protocol, context)}
    assert recipe is not None
    return {"distilled": made, **make_baselines(recipe, protocol, context)}


def make_others(
    made: Distilled, recipe: Recipe | None, real: Source, protocol: Protocol, context: Context
) -> dict[str, list[Distilled]]:
    """What a set is compared with on data that are not its recipe's: by its recipe, if that can work with them."""
    if recipe is not None:
        moved = replace(recipe, real=real)
        try:
            return make_baselines(moved, protocol, open_context(moved, context.device, context.dtype, context.progress))
        except UserError as error:
            log.warning("the recipe of the set does not work with %s: %s", context.real.name, error)
    log.info("random real pictures have hard labels, and there is no row for an unsteered prior: no recipe makes them")
    alone = Recipe(real=real, prior=Pixels(), steering=(Start(RealPictures()),), ipc=made.ipc)
    return make({"random_real": alone, **baselines(alone, protocol.coresets)}, None, protocol, context)


def make_baselines(recipe: Recipe, protocol: Protocol, context: Context) -> dict[str, list[Distilled]]:
    """The sets that a recipe is compared with."""
    return make(baselines(recipe, protocol.coresets), recipe.prior, protocol, context)


def make(
    recipes: Mapping[str, Recipe], opened: Prior | None, protocol: Protocol, context: Context
) -> dict[str, list[Distilled]]:
    """Sets to compare with, one per (set, student) seed where drawing one is free; the context holds the prior ``opened``."""
    made: dict[str, list[Distilled]] = {}
    for name, other in recipes.items():
        try:
            for step in other.steering:
                step.check(context.real, other.ipc)
        except UserError as error:
            log.warning("no row for %s: %s", name, error)
            continue
        count = protocol.sets * (protocol.students if name == "random_real" else 1)
        log.info("%s: %d sets to compare with", name, count)
        inner = context
        if other.prior != opened:
            inner = replace(context, prior=other.prior.load(context.real, context.device, context.dtype))
        made[name] = [
            distill(replace(other, seed=other.seed + i), context=inner, device=context.device) for i in range(count)
        ]
    made["full_real"] = [Distilled.of(context.real.train)]
    return made


def measure(
    sets: Sets,
    protocol: Protocol,
    context: Context,
    *,
    same_bytes: bool = False,
    fidelity: bool = False,
    features: Features | None = None,
) -> Report:
    """Rows for every set, with every kind of labels and of every student of the protocol. Opens the held-out pictures.

    ``same_bytes`` adds random real pictures for the bytes of the set "distilled", where these hold many more of them.
    ``fidelity`` also says how the pictures of the small sets lie among the real training pictures, and ``features`` by what.

    Raises:
        UserError: the held-out pictures were learned from, labels are none, or a teacher of the protocol knows too little.
    """
    check_judges(protocol, context.real)
    per_class = {one.ipc for name, made in sets.items() if name != "full_real" for one in made}
    for labeler in protocol.labelers:
        labeler.check(context.real)
        for ipc in sorted(per_class):  # some teachers are others for another IPC
            check_teachers(labeler, replace(context, ipc=ipc))
    found, seconds, fidelity = [], {}, fidelity or features is not None
    started = time.monotonic()
    small = {name: made for name, made in sets.items() if name != "full_real"} if fidelity else {}
    lying = tuple(likeness(name, made, protocol, context, features) for name, made in small.items())
    if fidelity:
        seconds["fidelity"] = time.monotonic() - started
    held_out = open_held_out(context.real)
    notes = [*check_apart(held_out, sets, context), *(() if protocol.labelers else doubts(sets))]
    for name, made in sets.items():
        started = time.monotonic()
        found += rows(name, made, protocol, context, held_out)
        seconds[f"evaluate {name}"] = time.monotonic() - started
    for words, made in more_for_the_bytes(found, sets.get("random_real", ()), context) if same_bytes else ():
        started = time.monotonic()
        found += rows("random_real", made, replace(protocol, labelers=()), context, held_out)
        notes.append(words)
        seconds[f"evaluate {made[0].ipc} random real"] = time.monotonic() - started
    return Report(found, seconds, (*notes, *leakage(protocol, context.real)), lying)


def leakage(protocol: Protocol, data: RealData) -> Iterator[str]:
    """What a reader must know of the teachers that a protocol brings."""
    for words, labeler in zip(spell(protocol.labelers), protocol.labelers, strict=True):
        for origin in labeler.origins(data.licence):
            saw = f"it saw {origin['saw']}" if origin.get("saw") else "what it saw is not stated"
            yield f"Labels by {words}: {origin['name']}; {saw}."


def check_judges(protocol: Protocol, data: RealData) -> None:
    """Refuse students and teachers of a protocol that cannot take pictures of this size, before anything is made."""
    for value in (*protocol.nets, *protocol.labelers, *protocol.coresets):
        check_nets(value, data)


def open_held_out(data: RealData) -> Images:
    """The held-out pictures, in memory where they are few: every student looks at them, and to decode them takes longer."""
    check_held_out(data)
    assert data.test is not None
    found = data.test()
    log.info("%s pictures of %s are opened: %d", data.split, data.name, len(found))
    if len(found) * math.prod(found.shape) > IN_MEMORY_BYTES:
        return found
    return StoredImages(found.classes, found.labels, found.stored(torch.arange(len(found))), found.fingerprint)
