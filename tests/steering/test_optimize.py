"""Optimisation lowers what it follows, in chunks as without, and resumes to the same bits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.steering import optimize
from gendistill.steering.optimize import Optimize
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, Diverged, UserError
from tests.interruption import stopping


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, ipc=5)


def test_it_lowers_its_objective(context):
    loss, draft = ModePull().bind(context), toy_draft(context)

    def value(draft):
        return float(loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)).sum())

    assert value(Optimize((ModePull(),), steps=50, lr=0.1)(draft, context)) < 0.1 * value(draft)


def test_no_steps_change_nothing(context):
    draft = toy_draft(context)
    assert torch.equal(Optimize((ModePull(),), steps=0)(draft, context).latents[LATENT], draft.latents[LATENT])


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_killed_optimisation_goes_on_to_the_same_bits(optimizer, context, monkeypatch):
    monkeypatch.setattr(optimize, "SAVE_EVERY_S", 0.0)
    step = Optimize((MeanFeatures(Fresh(ConvNet(depth=2, width=8))),), steps=7, lr=0.05, optimizer=optimizer)
    draft = toy_draft(context)
    whole = step(draft, context).latents[LATENT]
    killed = replace(context, resume=context.store.root / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        step(draft, replace(killed, progress=stopping(4)))
    seen = []
    resumed = step(
        draft, replace(killed, progress=lambda items, what, total=None: (seen.append(i) or i for i in items))
    )
    assert seen == [4, 5, 6], "finished steps were made again"
    assert torch.equal(resumed.latents[LATENT], whole)


def test_a_loss_that_is_not_finite_is_named(context):
    with pytest.raises(Diverged, match="ModePull"):
        Optimize((ModePull(),), steps=50, lr=1e30, optimizer="SGD")(toy_draft(context), context)


def test_an_empty_draft_is_refused(context):
    with pytest.raises(UserError, match="Start"):
        Optimize((ModePull(),))(replace(toy_draft(context), latents={}), context)


def test_a_cosine_takes_the_published_shares_of_the_way(context):
    """A pull is linear: every step leaves 1 - lr * (1 + cos(pi step / steps)) / 2 of the distance to the mode."""
    draft, steps = toy_draft(context), 10
    plain = {"lr": 0.3, "optimizer": "SGD", "momentum": 0.0}
    goal = Optimize((ModePull(),), steps=400, **plain)(draft, context).latents[LATENT]
    found = Optimize((ModePull(),), steps=steps, lr_scheduler="cosine", **plain)(draft, context).latents[LATENT]
    left = 1.0
    for step in range(steps):
        left *= 1 - 0.3 * 0.5 * (1 + math.cos(math.pi * step / steps))
    torch.testing.assert_close(found, goal + left * (draft.latents[LATENT] - goal), atol=1e-4, rtol=0)
