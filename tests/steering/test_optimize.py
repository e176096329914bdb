"""Optimisation lowers what it follows, in chunks as without, and resumes to the same bits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.objectives.base import Objective
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.steering import optimize, watch
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
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


@dataclass(frozen=True)
class Wants(Objective):
    """The latents higher, all zero, of a gradient that is no number, or nothing that is a number."""

    what: str = "high"
    weight: float = 1.0

    def bind(self, context):
        def loss(synthetic):
            x = synthetic.clean
            found = {"high": -x, "zero": 0.5 * x.square(), "none": (x - x.detach()).abs().sqrt(), "nan": x * math.nan}[
                self.what
            ]
            return found.flatten(1).sum(1)

        return loss


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("high", r"step 4 .*latent/latent have a root mean square of 5\.\d+"),
        ("zero", r"step 0 .*latent/latent are the same at every place"),
        ("none", r"step 0 .*root mean square of nan"),
    ],
)
def test_latents_of_no_picture_are_refused_at_the_step_that_makes_them(what, says, context, monkeypatch):
    step = Optimize((Wants(what),), steps=9, lr=1.0, optimizer="SGD", momentum=0.0)
    monkeypatch.setattr(watch, "blown_out", lambda draft, context: None)
    with pytest.raises(Diverged, match=r"Optimize by Wants \(weight 1\) .*" + says) as refused:
        step(toy_draft(context), context)
    assert "class 0" in str(refused.value)


def test_a_loss_that_is_not_finite_is_named(context):
    with pytest.raises(Diverged, match=r"Wants\(what='nan'.* is nan at step 0, class class 0, class 1; lower lr=0.01"):
        Optimize((Wants("nan"),))(toy_draft(context), context)


def test_within_a_limit_latents_may_be_as_large_as_it_says(context, monkeypatch):
    monkeypatch.setattr(watch, "blown_out", lambda draft, context: None)
    step = Optimize((Wants(),), steps=5, lr=1.0, optimizer="SGD", limit=8.0)
    assert float(step(toy_draft(context), context).latents[LATENT].max()) == 8.0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lr": float("nan")}, "lr > 0"),
        ({"lr": (0.1, math.inf), "variables": ("latent", "condition")}, "lr > 0"),
        ({"limit": float("nan")}, "limit > 0"),
        ({"momentum": -1.0}, "momentum"),
        ({"chunk": 0}, "chunk"),
        ({"objectives": (ModePull(weight=float("nan")),)}, "weights of at least 0"),
        ({"objectives": (ModePull(weight=-1.0),)}, "weights of at least 0"),
        ({"optimizer": "SGD", "lr": 3.0}, r"lr=3 overshoots ModePull \(weight 1\).* from 3 on"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(settings, says):
    with pytest.raises(UserError, match=says):
        Optimize(**{"objectives": (ModePull(),)} | settings)


@pytest.mark.parametrize("change", [{"lr_scheduler": "cosine"}, {"limit": 3.0}, {"optimizer": "Adam"}])
def test_what_overshoots_at_first_only_or_not_far_is_not(change):
    Optimize(**{"objectives": (ModePull(),), "optimizer": "SGD", "lr": 3.0} | change)


def test_the_sampler_it_passes_says_what_does_not_fit(context):
    step = Optimize((ModePull(),), through=Sample(scheduler="DDPM", eta=0.5))
    with pytest.raises(UserError, match="DDPM adds its own noise"):
        step.fits(toy_draft(context), context)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [("optimizer", "Foo", "must be 'SGD' or 'Adam' or 'AdamW'"), ("lr_scheduler", "cosin", "did you mean 'cosine'")],
)
def test_words_of_no_meaning_are_refused(name, wrong, says):
    """By the package itself: tests check annotations, users' programs do not."""
    step = Optimize((ModePull(),))
    object.__setattr__(step, name, wrong)
    with pytest.raises(UserError, match=says):
        step.__post_init__()


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
