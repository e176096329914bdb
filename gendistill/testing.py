"""The contract every part keeps, as checks for the tests of this package and of people who write their own parts.

    check_objective(MyObjective(), toy_context(folder))

and so on; each raises AssertionError with what is wrong. What they run on is in `gendistill.toys`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import Tensor

from gendistill.capabilities import Diffusion
from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.draft import Draft, Synthetic
from gendistill.evaluation.sets.foreign import exported
from gendistill.exporting.export import export
from gendistill.labelers import stored
from gendistill.labelers.base import Labeler
from gendistill.objectives.base import SCOPES, Objective
from gendistill.steering.base import Steering
from gendistill.steering.in_parts import Term, backward
from gendistill.toys import toy_draft
from gendistill.types import LATENT, Images, SoftLabels, UserError

EPOCHS = 4
"""Of the training whose labels are compared."""


def _synthetic(draft: Draft, value: Tensor) -> Synthetic:
    return Synthetic(
        draft.prior,
        {LATENT: value},
        draft.ids,
        draft.labels,
        conditions=cast(Diffusion, draft.prior).condition(draft.labels),
    )


def check_objective(objective: Objective, context: Context) -> None:
    """An objective gives a finite number per group, a gradient that reaches latents, and judges no more than its scope."""
    assert objective.scope in SCOPES, f"scope {objective.scope!r} is none of {SCOPES}"
    draft, loss = toy_draft(context), objective.bind(context)
    groups = {"picture": len(draft), "class": len(context.classes), "set": 1}[objective.scope]
    gradients = []
    for scale in (1.0, 3.0):
        value = draft.latents[LATENT].clone()
        value[-1] *= scale
        value.requires_grad_()
        found = loss(_synthetic(draft, value))
        assert found.shape == (groups,), (
            f"{groups} losses were expected for scope {objective.scope!r}, got {tuple(found.shape)}"
        )
        assert bool(torch.isfinite(found).all()), "a loss is not finite"
        found.sum().backward()
        assert value.grad is not None and bool((value.grad != 0).any()), "no gradient reaches the latents"
        gradients.append(value.grad)
    if objective.scope != "set":
        mine = slice(0, 1) if objective.scope == "picture" else draft.labels == context.classes[0]
        same = torch.allclose(gradients[0][mine], gradients[1][mine], atol=1e-5)
        assert same, "a picture outside the scope changed the gradient"
    found, slopes = [], []
    for chunk in (len(draft), 1):
        value = draft.latents[LATENT].clone().requires_grad_()
        found.append(backward([Term(1.0, objective.scope, loss)], _synthetic(draft, value), chunk)[0])
        slopes.append(value.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4, msg="pictures one by one have another loss")
    torch.testing.assert_close(
        slopes[1], slopes[0], rtol=1e-2, atol=1e-3 * float(slopes[0].abs().max()),
        msg="pictures one by one have another gradient",
    )  # fmt: skip
    again = objective.bind(context)(_synthetic(draft, draft.latents[LATENT]))
    torch.testing.assert_close(again, loss(_synthetic(draft, draft.latents[LATENT])), msg="two bindings disagree")


def check_steering(
    step: Steering, context: Context, hide: Callable[[object, tuple[type, ...]], object] | None = None
) -> None:
    """A step returns a new draft of the right size, is repeatable, and leaves the one it was given alone."""
    before = toy_draft(context)
    if step.begins:
        before = replace(before, latents={})
    kept = {name: value.clone() for name, value in before.latents.items()}
    first, second = step(before, context), step(before, context)
    for name, value in kept.items():
        assert torch.equal(value, before.latents[name]), "the draft that was given has changed"
    assert len(first) == len(first.ids) == len(first.labels) == len(first.weight), "parts of the draft differ in length"
    assert torch.equal(first.ids[:, 0], first.labels), "ids and labels disagree"
    assert len(first.ids.unique(dim=0)) == len(first), "two pictures have one id"
    if not step.keeps:
        assert len(first) == len(before) * step.copies, (
            f"{len(before) * step.copies} pictures were expected, got {len(first)}"
        )
    for name, value in first.latents.items():
        assert bool(torch.isfinite(value).all()), f"latent {name!r} is not finite"
        assert torch.equal(value, second.latents[name]), "the same draft gave another result"
    for work in step.work(before, replace(context, dry=True)):
        assert work.calls >= 0 and work.rows >= 1, f"{work} makes no sense"
        work.once()


def check_labeler(labeler: Labeler, context: Context) -> None:
    """A labeler gives log-probabilities over all classes, whatever positions are asked for, and they survive folder and export."""
    images = context.real.train
    soft = labeler(images, context)
    found = soft.at(torch.arange(len(images)))
    assert found.shape == (len(images), len(images.classes)), f"labels have shape {tuple(found.shape)}"
    torch.testing.assert_close(found.exp().sum(1), torch.ones(len(images)), msg="probabilities do not sum to 1")
    torch.testing.assert_close(
        soft.at(torch.tensor([3, 1])), found[[3, 1]], msg="labels depend on what else is asked for"
    )
    assert soft.bytes > 0 and soft.temperature > 0
    if soft.kind in ("soft", "views"):
        told = labeler.bytes(len(images.classes)) * len(images)
        assert soft.bytes == told, f"labels take {soft.bytes} bytes, and the labeler tells a plan {told}"
    _check_same(soft, labeler(images, context), "the same labeler", len(images))
    assert soft.fingerprint == labeler(images, context).fingerprint, "the same labels have another fingerprint"
    _check_kept(soft, images)


def _check_kept(soft: SoftLabels, images: Images) -> None:
    """Labels come back from what they save, or say that a file is missing; and from an export, where they are more than a rule."""
    with TemporaryDirectory() as place:
        told = json.loads(json.dumps(soft.save(Path(place))))
        assert told["kind"] == soft.kind, f"labels of the kind {soft.kind!r} are told as {told['kind']!r}"
        if soft.kind != "online":
            again = stored.read(Path(place), told, images)
            _check_same(soft, again, "what was read again", len(images))
            assert (again.bytes, again.fingerprint) == (soft.bytes, soft.fingerprint), (
                "what was read again costs or is other"
            )
        for file in [one for one in Path(place).rglob("*") if one.is_file()]:
            hidden = file.rename(file.with_suffix(".hidden"))
            try:
                stored.read(Path(place), told, images)
            except UserError:
                hidden.rename(file)
            else:
                raise AssertionError(f"labels are read though {file.name} is missing")
    with TemporaryDirectory() as place:
        back = exported(export(Distilled.of(images, soft), Path(place) / "set"))
        if soft.kind == "online":
            assert back.soft.kind == "hard", "labels by teachers that are elsewhere are pretended"
            return
        _check_same(soft, back.soft, "what was exported", len(images))


def _check_same(one: SoftLabels, other: SoftLabels, what: str, count: int) -> None:
    """Both say the same of all pictures in every epoch, and ask for the same views and temperatures."""
    for epoch in range(EPOCHS):
        asked = [(each.view(epoch, EPOCHS), each.temperature_at(epoch, EPOCHS), each.views) for each in (one, other)]
        assert asked[0] == asked[1], f"{what} asks for {asked[1]} in epoch {epoch}, not {asked[0]}"
        view, temperature, _ = asked[0]
        said = [each.at(torch.arange(count), view) for each in (one, other)]
        torch.testing.assert_close(*said, msg=f"{what} says something else in epoch {epoch}")
        torch.testing.assert_close(said[0].exp().sum(1), torch.ones(count), msg=f"no probabilities in epoch {epoch}")
        assert temperature > 0
