"""Characteristic functions in complex numbers, amplitude without phase and phase without amplitude, and the sampler's training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.sampling import Fixed
from gendistill.nets.trained import Trained
from gendistill.objectives.characteristic_function import CharacteristicFunction, FrequencySampler
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

REAL, MADE = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
FREQUENCIES = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
AMPLITUDE, PHASE = CharacteristicFunction(alpha=1.0, beta=0.0), CharacteristicFunction(alpha=0.0, beta=1.0)
LEARNED = CharacteristicFunction(
    Fixed((TEACHER,)), augment=None, frequencies=8, sampler=FrequencySampler(width=8, lr=0.05, period=3)
)


def means(points):
    return torch.exp(1j * (points @ FREQUENCIES.T)).mean(0)


def test_it_is_the_published_difference():
    p, q = means(REAL), means(MADE)
    amplitude = (p.abs() - q.abs()) ** 2
    phase = 2 * (p.abs() * q.abs() - p.real * q.real - p.imag * q.imag)
    expected = (0.3 * amplitude + 0.7 * phase).sqrt().mean()
    torch.testing.assert_close(CharacteristicFunction(alpha=0.3, beta=0.7).at(FREQUENCIES, REAL, MADE), expected)


def test_equal_weights_give_the_distance_in_the_plane():
    found = CharacteristicFunction(alpha=0.5, beta=0.5).at(FREQUENCIES, REAL, MADE)
    torch.testing.assert_close(found, ((means(REAL) - means(MADE)).abs() * 0.5**0.5).mean())


def test_a_shift_is_phase_and_a_spread_is_amplitude():
    assert AMPLITUDE.at(FREQUENCIES, REAL, REAL + 0.5) < 1e-5 < 1e-2 < PHASE.at(FREQUENCIES, REAL, REAL + 0.5)
    narrow, wide = (torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]) * size for size in (0.1, 0.3))
    assert PHASE.at(FREQUENCIES, narrow, wide) < 1e-3 < 1e-2 < AMPLITUDE.at(FREQUENCIES, narrow, wide)


def test_gradients_are_finite_where_both_agree():
    points = REAL.clone().requires_grad_()
    CharacteristicFunction().at(FREQUENCIES, REAL, points).backward()
    assert points.grad is not None and bool(torch.isfinite(points.grad).all())


def test_features_have_length_one(tmp_path):
    context = toy_context(tmp_path)
    (net,) = Fixed((TEACHER,)).draw(context)
    seen = CharacteristicFunction().look(net, torch.rand(3, 1, 8, 8))
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(3))


def run(objective, context, steps):
    loss, draft = objective.bind(context), toy_draft(context)
    return {step: loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=step)) for step in steps}


def test_the_sampler_learns_where_the_difference_is_large(tmp_path):
    context = toy_context(tmp_path)
    objective = replace(LEARNED, sampler=replace(LEARNED.sampler, period=100))
    learned, untrained = run(objective, context, range(31))[30], run(objective, context, (30,))[30]
    assert bool((learned > 1.05 * untrained).all())


def test_an_optimisation_goes_on_from_the_start_of_a_period_and_from_nowhere_else(tmp_path):
    context = toy_context(tmp_path)
    whole = run(LEARNED, context, range(6))
    assert LEARNED.period == 3 and CharacteristicFunction().period == 1
    resumed = run(LEARNED, context, range(3, 6))
    assert all(torch.equal(resumed[step], whole[step]) for step in resumed)
    assert not torch.equal(run(LEARNED, context, (5,))[5], whole[5])


def test_asked_twice_at_a_step_it_says_the_same(tmp_path):
    context = toy_context(tmp_path)
    loss, draft = LEARNED.bind(context), toy_draft(context)
    at = [loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=step)) for step in (0, 1, 1, 2)]
    assert torch.equal(at[1], at[2])
    assert torch.equal(at[3], run(LEARNED, context, range(3))[2])


def test_each_network_of_a_step_has_a_sampler_that_learns(tmp_path, monkeypatch):
    context, other, compared = toy_context(tmp_path, classes=(0,)), Trained(TEACHER.net, TEACHER.training, seed=1), []
    matched = CharacteristicFunction.matched

    def recorded(self, context, distance):
        return matched(self, context, lambda *given: (compared.append(distance(*given)), compared[-1])[1])

    monkeypatch.setattr(CharacteristicFunction, "matched", recorded)
    run(LEARNED, context, range(3))
    alone, both = list(compared), replace(LEARNED, networks=Fixed((TEACHER, other), all=True))
    compared.clear()
    run(both, context, range(3))
    assert len(compared) == 6 and all(torch.equal(*pair) for pair in zip(compared[::2], alone, strict=True))
    second = compared[-1]
    compared.clear()
    run(both, context, (2,))
    assert not torch.equal(compared[-1], second), "that of the second did not learn"


def test_the_sampler_gets_no_gradient_from_the_pictures_and_gives_them_theirs(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    pixels = draft.prior.decode(draft.latents).clone().requires_grad_()
    synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, decode=lambda _: pixels)
    with torch.no_grad():
        LEARNED.bind(context)(synthetic)  # it learns wherever it is asked
    LEARNED.bind(context)(synthetic).sum().backward()
    assert pixels.grad is not None and bool((pixels.grad != 0).any())


def test_weights_of_nothing_are_refused():
    with pytest.raises(UserError, match="above 0"):
        CharacteristicFunction(alpha=0.0, beta=0.0)
