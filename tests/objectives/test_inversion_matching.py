"""IMS3: where a denoising step goes, against the inversion of where it ends."""

from __future__ import annotations

import diffusers
import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.inversion_matching import InversionMatching, down
from gendistill.priors.schedule import Schedule
from gendistill.toys import toy_context, toy_draft
from gendistill.types import CLEAN, LATENT, Level


def test_a_step_down_is_ddpms(tmp_path):
    scheduler = diffusers.DDPMScheduler(beta_schedule="linear", clip_sample=False, prediction_type="sample")
    schedule = Schedule("DDPMScheduler", scheduler.config)
    scheduler.set_timesteps(1000)
    x, clean = torch.randn(2, 1, 1, 8, generator=torch.Generator().manual_seed(0)).unbind()
    for t in (0, 1, 500, 999):
        stepped = scheduler.step(clean, t, x, generator=torch.Generator().manual_seed(t)).prev_sample
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(t))
        mean = stepped - (scheduler._get_variance(t) ** 0.5 * noise if t else 0)
        keep, pull, alpha, sigma = down(schedule, t)
        torch.testing.assert_close(keep * x + pull * clean, mean, rtol=1e-3, atol=1e-4)
        assert alpha**2 + sigma**2 == pytest.approx(1)


def test_a_step_down_of_a_flow_stays_on_its_path():
    schedule = Schedule("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 10})
    # at t = 0.5, s = 0.4: r = 5 / 6, keep = r 0.16 / 0.25, pull = 0.6 (0.25 - r^2 0.16) / 0.25
    ratio = 0.5 / 0.6
    assert down(schedule, 5) == pytest.approx((ratio * 0.64, 0.6 * (1 - ratio**2 * 0.64), 0.6, 0.4))


def published(prior, x, clean, t, conditions):
    """The formula of one level, with DDPM's own coefficients."""
    abar, before = prior.schedule.abar[t], prior.schedule.abar[t - 1]
    beta = 1 - abar / before
    mean = (before**0.5 * beta * clean + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - abar)
    level = Level(abar**0.5, (1 - abar) ** 0.5, t / 1000)
    again = prior.denoise(clean.detach(), level, conditions).clean
    noise = (clean.detach() - abar**0.5 * again) / (1 - abar) ** 0.5
    inverted = before**0.5 * clean.detach() + (1 - before) ** 0.5 * noise
    return 1 - torch.cosine_similarity(mean.flatten(1), inverted.flatten(1))


def test_value_and_gradient_are_those_of_the_formula(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), InversionMatching().bind(context)
    prior, conditions = draft.prior, draft.prior.condition(draft.labels)
    x, clean = draft.latents[LATENT], (draft.latents[LATENT] * 0.5 + 0.3).requires_grad_()
    t = torch.tensor([100, 400, 700, 900])
    many = loss(
        Synthetic(
            prior, {LATENT: clean}, draft.ids, draft.labels, x=x, level=prior.schedule.levels(t), conditions=conditions
        )
    )
    expected = torch.cat(
        [published(prior, x[i : i + 1], clean[i : i + 1], int(t[i]), conditions[i : i + 1]) for i in range(4)]
    )
    torch.testing.assert_close(many, expected, rtol=1e-3, atol=1e-5)
    gradients = [torch.autograd.grad(each.sum(), clean)[0] for each in (many, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
    one = loss(
        Synthetic(
            prior, {LATENT: clean}, draft.ids, draft.labels, x=x, level=prior.schedule.level(400), conditions=conditions
        )
    )
    torch.testing.assert_close(one[1], many[1], rtol=1e-4, atol=1e-6)


def test_the_last_step_ends_at_the_clean_latent_and_matches(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    last = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, level=draft.prior.schedule.level(0))
    assert InversionMatching().bind(context)(last).abs().max() < 1e-6


def test_where_the_latent_is_clean_a_level_is_drawn_at_every_step(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), InversionMatching().bind(context)

    def at(step, rows=slice(None)):
        part = draft[rows]
        return loss(Synthetic(draft.prior, part.latents, part.ids, part.labels, level=CLEAN, step=step))

    torch.testing.assert_close(at(0)[2:], at(0, slice(2, 4)))
    assert not torch.isclose(at(0), at(1)).any()
