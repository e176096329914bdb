"""CaO2's refinement: the denoising loss of a latent."""

from __future__ import annotations

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.denoising import Denoising, noised
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, Conditions, UserError


def look(draft, step=3, clean=None, conditions=None):
    latents = draft.latents if clean is None else {LATENT: clean}
    return Synthetic(draft.prior, latents, draft.ids, draft.labels, step=step, conditions=conditions)


def published(draft, clean, conditions, draw, times, infinity):
    """The noise that the prior finds, less the noise that was added."""
    x, level, noise = noised(look(draft, clean=clean), times, 0, "denoising", 0, 3, draw)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in (level.alpha, level.sigma))
    estimate = draft.prior.denoise(x, level, conditions).clean
    error = (x - alpha * estimate) / sigma - noise
    return (error**2).mean((1, 2, 3)) + infinity * error.abs().amax((1, 2, 3))


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("condition", ["class", "null"])
def test_value_and_gradient_are_those_of_the_formula(tmp_path, draws, condition):
    context = toy_context(tmp_path)
    draft, clean = toy_draft(context), toy_draft(context).latents[LATENT].requires_grad_()
    objective = Denoising(times=(0.1, 0.6), draws=draws, condition=condition, infinity=0.5)
    found = objective.bind(context)(look(draft, clean=clean))
    both = draft.prior.condition(draft.labels)
    conditions = both if condition == "class" else Conditions(both.null)
    expected = sum(published(draft, clean, conditions, draw, (0.1, 0.6), 0.5) for draw in range(draws)) / draws
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    gradients = [torch.autograd.grad(each.sum(), clean)[0] for each in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_the_network_is_told_the_time_of_the_noise(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    for key in range(20):
        _, level, noise = noised(look(draft), (0.02, 0.22), key)
        steps = (level.time * 1000).round().long()
        abar = torch.tensor(draft.prior.schedule.abar, dtype=torch.float64)[steps]
        torch.testing.assert_close(level.alpha.double() ** 2, abar, atol=1e-6, rtol=0)
        assert ((steps >= 20) & (steps <= 220)).all() and noise.shape == draft.latents[LATENT].shape


def test_levels_and_noise_are_a_pictures_own_and_new_at_every_step(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), Denoising().bind(context)
    whole, part = loss(look(draft)), loss(look(draft[1:3]))
    torch.testing.assert_close(whole[1:3], part)
    assert not torch.isclose(whole, loss(look(draft, step=4))).any()


def test_is_least_at_the_centre_of_the_class_that_was_asked_for(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), Denoising(times=(0.3, 0.6), draws=4).bind(context)
    centres = draft.prior.centres
    here, there = loss(look(draft, clean=centres[draft.labels])), loss(look(draft, clean=centres[1 - draft.labels]))
    assert (here < there).all()
    other = draft.prior.condition(1 - draft.labels)
    assert (loss(look(draft, clean=centres[1 - draft.labels], conditions=other)) < there).all()


def test_mistakes_are_told(tmp_path):
    for wrong in ({"times": (0.5, 0.2)}, {"draws": 0}):
        with pytest.raises(UserError):
            Denoising(**wrong)
    draft = toy_draft(toy_context(tmp_path))
    conditions = Conditions(draft.prior.condition(draft.labels).values)
    with pytest.raises(UserError, match="knows no null"):
        Denoising(condition="null").bind(toy_context(tmp_path))(look(draft, conditions=conditions))
