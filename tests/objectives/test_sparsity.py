"""Sparsity: the published formula, and that it draws all numbers alike."""

from __future__ import annotations

import torch

from gendistill.draft import Synthetic
from gendistill.objectives.sparsity import Sparsity
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT


def test_it_is_the_mean_absolute_number_and_draws_all_alike(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    clean = (
        torch.tensor([0.5, -2.0, 4.0, 0.0]).repeat(len(draft), 4).view(-1, *context.prior.latent_shape).requires_grad_()
    )
    found = Sparsity().bind(context)(Synthetic(context.prior, {LATENT: clean}, draft.ids, draft.labels))
    torch.testing.assert_close(found, torch.full((len(draft),), 6.5 / 4))
    found.sum().backward()
    assert torch.equal(clean.grad, clean.detach().sign() / clean[0].numel())
