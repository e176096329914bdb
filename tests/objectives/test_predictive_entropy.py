"""The entropy is that of the mean probability, in nats, and descending the loss raises it."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.predictive_entropy import PredictiveEntropy, entropy
from gendistill.steering.optimize import Optimize
from gendistill.toys import toy_context, toy_draft
from tests.parts_under_test import TEACHER


def test_it_is_the_entropy_of_the_mean_probability():
    p = torch.tensor([[[0.7, 0.2, 0.1]], [[0.1, 0.2, 0.7]]])
    expected = -2 * 0.4 * math.log(0.4) - 0.2 * math.log(0.2)
    assert entropy(p.log() + 3.0).item() == pytest.approx(expected)


def test_teachers_that_disagree_are_uncertain_together():
    sure = torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]])
    assert entropy(sure).item() == pytest.approx(math.log(2), abs=1e-4)
    assert entropy(sure[:1]).item() < 1e-4


def test_the_gradient_is_finite_where_a_probability_underflows():
    logits = torch.tensor([[[200.0, 0.0, -200.0]]], requires_grad=True)
    entropy(logits).sum().backward()
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_descending_it_makes_the_teacher_uncertain(tmp_path):
    context = toy_context(tmp_path)
    objective, draft = PredictiveEntropy((TEACHER,)), toy_draft(context)
    loss = objective.bind(context)

    def value(draft):
        return loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels))

    moved = value(Optimize((objective,), steps=30, lr=0.05)(draft, context))
    assert bool((moved < value(draft)).all()) and bool((moved > -math.log(3) - 1e-5).all())
