"""Optimisation through a sampler: gradients are those of the unrolled chain, whatever the chunks, and conditions can move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.base import Objective
from gendistill.objectives.mode_pull import ModePull
from gendistill.steering import optimize
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError

CHAIN = Sample(steps=4, cfg=2.0, scheduler="DDIM", strength=0.75)


@dataclass(frozen=True)
class Dark(Objective):
    """Dark pictures are wanted, class by class."""

    weight: float = 1.0
    period: int = 1

    def bind(self, context):
        return lambda synthetic: synthetic.pixels.square().flatten(1).sum(1)


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, ipc=3)


def loss(latent, context, step=0):
    draft = replace(toy_draft(context), latents={LATENT: latent})
    made = CHAIN.chain(draft, context, "optimize", 0, step)
    return (2 * made.latents[LATENT]).square().sum()


def test_the_gradient_is_that_of_the_unrolled_chain(context):
    latent = toy_draft(context).latents[LATENT].double().float().requires_grad_()
    (found,) = torch.autograd.grad(loss(latent, context), latent)
    nudge = torch.zeros_like(latent)
    nudge[2, 0, 1, 1] = 1e-2
    with torch.no_grad():
        slope = (loss(latent + nudge, context) - loss(latent - nudge, context)) / 2e-2
    assert float(found[2, 0, 1, 1]) == pytest.approx(float(slope), rel=2e-2)


@pytest.mark.parametrize("variables", [("latent",), ("condition",), ("latent", "condition")])
def test_what_moves_is_what_was_asked_for(variables, context):
    draft = toy_draft(context)
    near = replace(CHAIN, steps=8, strength=0.25)
    step = Optimize((Dark(),), steps=5, lr=0.02, variables=variables, through=near)
    moved = step(draft, context)
    assert moved.conditions is not None
    rows = draft.prior.embed(draft.prior.condition(draft.labels)).values["class"]
    asked = moved.conditions.values["class"]
    assert ("condition" in variables) == (asked.is_floating_point() and not torch.allclose(asked.float(), rows))
    plain = replace(step, steps=0)(draft, context)
    assert (2 * moved.latents[LATENT]).square().sum() < (2 * plain.latents[LATENT]).square().sum()


def test_chunks_give_the_same_pictures(context):
    step = Optimize((Dark(),), steps=2, lr=0.05, variables=("latent", "condition"), through=CHAIN)
    whole, parts = (replace(step, chunk=chunk)(toy_draft(context), context).latents[LATENT] for chunk in (64, 2))
    torch.testing.assert_close(whole, parts)


def test_what_the_denoiser_computed_is_made_again_or_kept_to_the_same_bits(context, monkeypatch):
    asked, found, denoise = [], {}, type(context.prior).denoise
    monkeypatch.setattr(type(context.prior), "denoise", lambda *given: asked.append(1) or denoise(*given))
    step = Optimize((Dark(),), steps=2, lr=0.05, variables=("latent", "condition"), through=CHAIN)
    for again in (True, False):
        asked.clear()
        made = replace(step, gradient_checkpointing=again)(toy_draft(context), context).latents[LATENT]
        found[again] = made, len(asked)
    assert torch.equal(found[True][0], found[False][0])
    assert found[True][1] - found[False][1] == 2 * 3, "three levels, each once more in both steps"


def test_the_residual_keeps_the_start_at_the_first_step_and_not_at_the_last(context):
    draft = toy_draft(context)
    one = Sample(steps=1, cfg=1.0, keep_start=1.0, strength=1.0, scheduler="DDIM")
    torch.testing.assert_close(one(draft, context).latents[LATENT], draft.latents[LATENT])
    many = Sample(steps=20, cfg=1.0, keep_start=1.0, scheduler="DDIM")
    free = replace(many, keep_start=0.0)
    far = [(step(draft, context).latents[LATENT] - draft.latents[LATENT]).abs().mean() for step in (many, free)]
    assert far[0] < far[1]


def test_a_noisy_start_cannot_be_kept(context):
    draft = replace(toy_draft(context), latents={})
    keeping, says = Sample(steps=2, keep_start=0.5), r"^keep_start=0.5 asks for a clean start.*\(time 1.00\).*Start"
    with pytest.raises(UserError, match=says):
        keeping(Start()(draft, context), context)
    with pytest.raises(UserError, match=says):
        list(keeping.work(Start().imagined(draft, context), context))
    after = Sample(steps=2).imagined(Start().imagined(draft, context), context)
    assert list(keeping.work(after, context))


def test_a_noisy_draft_cannot_enter_half_way(context):
    step = Optimize((Dark(),), steps=1, through=Sample(steps=4, strength=0.5, keep_start=0.5))
    with pytest.raises(UserError, match=r"^strength=0.5 and keep_start=0.5 asks for a clean start"):
        step(Start()(replace(toy_draft(context), latents={}), context), context)


def test_it_resumes_only_where_the_state_of_a_loss_begins_anew(context, monkeypatch):
    monkeypatch.setattr(optimize, "SAVE_EVERY_S", -1.0)
    saved = []
    monkeypatch.setattr(optimize, "write_state", lambda file, variables, optimizer, step: saved.append(step))
    here = replace(context, resume=context.store.root / "state.safetensors")
    Optimize((Dark(period=2), Dark(period=3)), steps=13)(toy_draft(context), here)
    assert saved == [6, 12]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"variables": ("condition",)}, "through"),
        ({"variables": ()}, "variables"),
        ({"through": Sample(oversample=2)}, "oversampling"),
        ({"gradient_checkpointing": False}, "about a sampler"),
        ({"lr": (0.1, -1.0), "variables": ("latent", "condition")}, "lr > 0"),
        ({"lr": (0.1, 0.2)}, "one for each of the 1 variables"),
        ({"variables": ("latent/",)}, "latent/NAME"),
        ({"variables": ("latents",)}, "latent/NAME"),
        ({"variables": ("condition/class",)}, "latent/NAME"),
        ({"limit": 0.0}, "limit > 0"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(wrong, says):
    with pytest.raises(UserError, match=says):
        Optimize((ModePull(),), **wrong)


def test_an_objective_sees_the_pictures_of_the_sampler(context):
    seen = []

    @dataclass(frozen=True)
    class Watch(Dark):
        """Keeps what it was shown."""

        def bind(self, context):
            inner = super().bind(context)

            def loss(synthetic: Synthetic):
                seen.append(synthetic.clean.detach())
                return inner(synthetic)

            return loss

    draft = toy_draft(context)
    Optimize((Watch(),), steps=2, through=CHAIN)(draft, context)
    with torch.no_grad():
        first = CHAIN.chain(draft, context, "optimize", context.place, 0).latents[LATENT]
    torch.testing.assert_close(seen[0], first)
    assert not torch.allclose(seen[0], seen[1]), "noise is drawn anew at every step"
