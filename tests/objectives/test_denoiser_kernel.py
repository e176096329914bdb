"""The kernel distance expanded, at every level, and where its gradient arrives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.denoiser_kernel import DenoiserKernel
from gendistill.toys import ToyPrior, toy_context, toy_draft
from gendistill.types import CLEAN, LATENT, Level, UserError

MIDDLE = Level(0.8, 0.6, 0.4)
ALL = DenoiserKernel(pictures=100)


def look(draft, level=CLEAN, x=None):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, x=x, level=level)


def test_it_is_the_kernel_expanded_over_all_real_pictures(tmp_path):
    context = toy_context(tmp_path, classes=(1,))
    draft, real = toy_draft(context), context.latents(1)
    prior = draft.prior

    def phi(latents):
        labels = torch.ones(len(latents), dtype=torch.long)
        return prior.features(latents, CLEAN, prior.condition(labels), ALL.layers)

    seen, others = phi(draft.latents[LATENT]), phi(real)
    squares = (seen * seen).sum(1)[:, None] + (others * others).sum(1) - 2 * seen @ others.T
    torch.testing.assert_close(ALL.bind(context)(look(draft)), squares.sqrt().mean(1))


def test_real_latents_are_noised_to_the_level(tmp_path):
    context = toy_context(tmp_path, classes=(0,))
    prior = context.prior
    pure = ALL.real(prior, context, 0, Level(0.0, 1.0, 1.0))
    clean, again, middle = (ALL.real(prior, context, 0, level) for level in (CLEAN, CLEAN, MIDDLE))
    assert torch.equal(clean, again)
    latents = context.latents(0)
    labels = torch.zeros(len(latents), dtype=torch.long)
    expected = prior.features(latents, CLEAN, prior.condition(labels), ALL.layers)
    torch.testing.assert_close(clean.sort(0).values, expected.sort(0).values)  # by chance, so in another order
    assert not torch.allclose(middle, clean) and not torch.allclose(middle, pure)


def test_it_is_zero_where_the_denoiser_sees_the_same(tmp_path):
    class Blind(ToyPrior):
        def features(self, x, level, conditions, layers):
            return super().features(x * 0, level, conditions, layers) * 0 + 1

    context = toy_context(tmp_path)
    context = replace(context, prior=Blind(3))
    draft = replace(toy_draft(context), prior=context.prior)
    assert ALL.bind(context)(look(draft, MIDDLE)).tolist() == [0.0] * 4


def test_the_gradient_is_at_the_noisy_latent(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    noisy = torch.randn(draft.latents[LATENT].shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = ALL.bind(context)(look(draft, MIDDLE, noisy))
    (gradient,) = torch.autograd.grad(found.sum(), noisy)
    assert bool((gradient.flatten(1).abs().sum(1) > 0).all())
    closer = ALL.bind(context)(look(draft, MIDDLE, noisy.detach() - 1e-2 * gradient))
    assert bool((closer < found).all())


def test_a_level_of_its_own_for_each_picture(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    numbers = [torch.tensor(pair) for pair in ([0.8, 0.5] * 2, [0.6, 0.9] * 2, [0.4, 0.7] * 2)]
    found = ALL.bind(context)(look(draft, Level(*numbers)))
    for row in range(4):
        alone = ALL.bind(context)(look(draft[row : row + 1], Level(*(float(one[row]) for one in numbers))))
        torch.testing.assert_close(found[row], alone[0])


def test_real_pictures_are_measured_once_for_a_level(tmp_path, monkeypatch):
    context, measured, real = toy_context(tmp_path), [], DenoiserKernel.real
    monkeypatch.setattr(
        DenoiserKernel, "real", lambda self, *given: (measured.append(given[2:]), real(self, *given))[1]
    )
    loss, draft = ALL.bind(context), toy_draft(context)
    for level in (MIDDLE, MIDDLE, CLEAN, CLEAN):
        loss(look(draft, level))
    assert measured == [(0, MIDDLE), (1, MIDDLE), (0, CLEAN), (1, CLEAN)]


def test_layers_must_be_in_order():
    with pytest.raises(UserError, match="layers"):
        DenoiserKernel(layers=(0.5, 0.2))
