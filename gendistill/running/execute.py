"""Working on the units of a stage: read what the stage before left, take the steps, write one file, atomically."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gendistill.context import Context, together
from gendistill.draft import Draft, picked
from gendistill.recipe import Recipe
from gendistill.running.drawn import OneDraw
from gendistill.running.shards import ShardImages
from gendistill.running.stages import Stage, Unit, stages
from gendistill.steering.base import Steering, asked, plainly_asked
from gendistill.steering.drafts import joined
from gendistill.steering.render import render
from gendistill.system import ranks
from gendistill.system.environment import release_memory
from gendistill.system.store import as_tensor, as_texts, fingerprint, read_tensors, write_tensors
from gendistill.types import CLEAN, Conditions, Level, Stored, UserError

log = logging.getLogger("gendistill")


def run_stage(stage: Stage, recipe: Recipe, context: Context, folder: Path) -> None:
    """Work on every unit of a stage that has no file yet; several processes share them."""
    units = list(stage.units(recipe, len(context.real.classes)))
    target = folder / "shards" / stage.folder
    missing = [unit for unit in units if not (target / f"{unit.name}.safetensors").exists()]
    ranks.wait()  # all look before anyone writes
    if not missing:
        return
    context = context.anew(made=finished(recipe, context, folder, before=stage.round))
    first = tuned(recipe.steering[: stage.first], context)
    working = [first]
    for step in stage.steps:
        working.append(tuned((step,), working[-1]))
    absent = set(missing)
    todo = [unit for unit in units[ranks.number() :: ranks.count()] if unit in absent]
    if len(missing) < len(units):
        log.info("%s: %d of %d shards are done already", stage.name, len(units) - len(missing), len(units))
    for unit in context.progress(todo, stage.name, len(todo)):
        work_on(unit, stage, recipe, [one.of(unit.classes) for one in working], folder)
        release_memory()
    ranks.wait()


@torch.no_grad()
def rehearse(recipe: Recipe, context: Context) -> None:
    """Ask every step whether it can work on what those before it will hand it. Nothing is trained, at most a generator draws once.

    Raises:
        UserError: one cannot, such as a sampler that passes no level of what it is given.
    """
    inner = context.of((0,))
    draft = first_draft(Unit((0,), 0, 1, 1), inner)
    for step in recipe.steering:
        if step.shapes:
            step.fits(draft, inner)
            draft = step.imagined(draft, inner)
    refuse_noise(draft)


def refuse_noise(draft: Draft) -> None:
    """Raise `UserError` where the last step left noise."""
    if float(draft.level.time) > 0:
        raise UserError("the last step leaves noise, not pictures: put Sample(...) after Start()")


def tuned(steps: Iterable[Steering], context: Context) -> Context:
    """The context with the prior as these steps leave it; each makes what it needs once, or finds it in the store."""
    for step in steps:
        whole = context.anew(classes=tuple(range(len(context.real.classes))), resume=None)
        context = replace(context, prior=step.tune(whole))
    return context


def work_on(unit: Unit, stage: Stage, recipe: Recipe, working: list[Context], folder: Path) -> None:
    """Take the steps of a stage with one unit and write what comes out. ``working[0]`` is the context before the first.

    Raises:
        UserError: noise is left after the last step.
        Diverged: what comes out is no picture.
    """
    before, work = working[0], folder / "work"
    draft = first_draft(unit, before) if stage.begins else read_draft(unit, stage, recipe, before, folder)
    for place, (step, context) in enumerate(zip(stage.steps, working[1:], strict=True), stage.first):
        saved = work / f"{stage.name}-{unit.name}-{place}.safetensors"
        draft = step(draft, replace(context, place=place, resume=saved))
    draft = draft[draft.ids[:, 1] < unit.first + unit.kept]
    kept = {"ids": draft.ids, "weight": draft.weight}
    if draft.prompts is not None:
        kept["prompts"] = as_tensor(draft.prompts)
    if stage.last:
        refuse_noise(draft)
        names = None if recipe.keeps_real else before.name_classes
        kept["stored"] = render(draft, together(before.real.train.shape), names)
    else:
        kept["level"] = torch.tensor([float(draft.level.alpha), float(draft.level.sigma), float(draft.level.time)])
        kept.update({f"latent/{name}": value for name, value in draft.latents.items()})
        if plainly_asked(replace(draft, prior=working[-1].prior or draft.prior)):
            kept["asked"] = torch.tensor(True)  # whoever reads it asks again: prompts and labels say it in a few bytes
        elif draft.conditions is not None:
            kept.update({f"condition/{name}": value for name, value in draft.conditions.values.items()})
            kept.update({f"null/{name}": value for name, value in draft.conditions.null.items()})
    write_tensors(folder / "shards" / stage.folder / f"{unit.name}.safetensors", kept)
    for saved in work.glob(f"{stage.name}-{unit.name}-*"):
        saved.unlink()


def first_draft(unit: Unit, context: Context) -> Draft:
    """An empty draft with the ids of a unit."""
    assert context.prior is not None
    slots = torch.arange(unit.first, unit.first + unit.slots)
    ids = torch.cat(
        [torch.stack([torch.full_like(slots, index), slots, torch.zeros_like(slots)], 1) for index in unit.classes]
    )
    return Draft(context.prior, {}, ids, ids[:, 0].clone(), torch.ones(len(ids)))


def drawn(recipe: Recipe, context: Context, number: int) -> OneDraw:
    """The pictures of draw ``number`` of a recipe whose steps see single pictures, drawn when they are asked for.

    ``context`` has the prior as the recipe's tuning steps leave it. Draw 0 is what the shards hold.
    """
    steps = [(place, step) for place, step in enumerate(recipe.steering) if step.shapes]
    classes, shape = context.real.classes, context.real.train.shape
    units = list(stages(recipe)[-1].units(recipe, len(classes)))

    def draw(unit: Unit) -> Stored:
        inner = context.of(unit.classes)
        draft = first_draft(unit, inner)
        draft = replace(draft, ids=draft.ids + torch.tensor([0, 0, number]))
        for place, step in steps:
            draft = step(draft, replace(inner, place=place))
        return render(draft[draft.ids[:, 1] < unit.first + unit.kept], together(shape), context.name_classes)

    def make(index: int) -> Stored:
        return torch.cat([draw(unit) for unit in units if unit.classes == (index,)])

    labels = torch.arange(len(classes)).repeat_interleave(recipe.ipc)
    print_ = fingerprint("drawn", recipe, context.prior and context.prior.fingerprint, number)
    return OneDraw(classes, labels, shape, print_, make, context.store.root)


def read_draft(unit: Unit, stage: Stage, recipe: Recipe, context: Context, folder: Path) -> Draft:
    """What the stage before left for the classes and slots of a unit, in order of class, slot and candidate."""
    stage = stages(recipe)[stage.number - 1]
    units = [u for u in stage.units(recipe, len(context.real.classes)) if set(u.classes) & set(unit.classes)]
    parts = [_part(folder / "shards" / stage.folder / f"{u.name}.safetensors", unit, context) for u in units]
    return joined([part for part in parts if len(part)])


def _part(shard: Path, unit: Unit, context: Context) -> Draft:
    """What of a shard belongs to a unit."""
    assert context.prior is not None
    held = read_tensors(shard)
    ids, prompts = held["ids"], as_texts(held["prompts"]) if "prompts" in held else None
    alpha, sigma, time = held["level"].tolist()
    mine = (
        torch.isin(ids[:, 0], torch.tensor(unit.classes))
        & (ids[:, 1] >= unit.first)
        & (ids[:, 1] < unit.first + unit.slots)
    )

    def named(kind: str) -> dict[str, Tensor]:
        found = {name.partition("/")[2]: value for name, value in held.items() if name.startswith(kind + "/")}
        return {name: value[mine].to(context.device) for name, value in found.items()}

    values = named("condition")
    draft = Draft(
        context.prior,
        named("latent"),
        ids[mine],
        ids[mine, 0],
        held["weight"][mine],
        CLEAN if time == 0 else Level(alpha, sigma, time),
        Conditions(values, named("null")) if values else None,
        picked(prompts, torch.nonzero(mine).flatten()),
    )
    return asked(draft) if "asked" in held and len(draft) else draft


def finished(recipe: Recipe, context: Context, folder: Path, before: int | None = None) -> ShardImages | None:
    """The finished pictures, class by class; those of the rounds ``before`` one, or of all. None where there are none."""
    ends = [stage for stage in stages(recipe) if stage.last and (before is None or stage.round < before)]
    units = [unit for stage in ends for unit in stage.units(recipe, len(context.real.classes))]
    units.sort(key=lambda unit: (unit.classes, unit.first))
    shards = [folder / "shards" / "pictures" / f"{unit.name}.safetensors" for unit in units]
    return ShardImages(context.real.classes, shards) if shards else None
