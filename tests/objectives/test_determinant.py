"""The volume that the pictures of a class span."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.objectives.determinant import Determinant
from gendistill.objectives.diversity import Diversity
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.objectives.test_diversity import cos, draft, look, plane


def test_two_and_three_pictures_by_hand(tmp_path):
    context = toy_context(tmp_path)
    # [[1 + e, cos 60], [cos 60, 1 + e]]
    value = Determinant(eps=0.25).bind(context)(look(context, 7 * plane(10, 70), [0, 0]))
    torch.testing.assert_close(value, torch.tensor([-math.log(1.25**2 - 0.5**2), 0]))
    a, b, c, d = cos(60), cos(90), cos(30), 1.25
    whole = d**3 + 2 * a * b * c - d * (a * a + b * b + c * c)
    value = Determinant(eps=0.25).bind(context)(look(context, plane(0, 60, 90), [1, 1, 1]))
    torch.testing.assert_close(value, torch.tensor([0, -math.log(whole)]))


def test_finished_pictures_are_rows_that_are_held_fixed(tmp_path):
    context, clean = toy_context(tmp_path), plane(20).requires_grad_()
    finished = plane(0, 60).requires_grad_()
    loss = Determinant(eps=0.25).bind(context)
    value = loss(look(context, clean, [0], draft(context, finished, [0, 0])))[0]
    alone, whole = (loss(look(context, rows, [0] * len(rows)))[0] for rows in (finished, torch.cat([finished, clean])))
    torch.testing.assert_close(value, whole - alone)
    gradients = torch.autograd.grad(value, (clean, finished), allow_unused=True)
    assert gradients[0].abs().max() > 0 and gradients[1] is None


def test_is_steep_between_pictures_that_are_nearly_equal(tmp_path):
    context = toy_context(tmp_path)

    def slope(objective, apart):
        clean = plane(0, apart).requires_grad_()
        objective.bind(context)(look(context, clean, [0, 0])).sum().backward()
        return float(clean.grad.norm())

    steep = Determinant(eps=1e-6)
    assert slope(steep, 1) > 20 * slope(steep, 60) and slope(Diversity(), 1) < slope(Diversity(), 60)
    equal = Determinant(eps=1e-6).bind(context)(look(context, plane(30, 30), [0, 0]))
    assert equal[0].item() == pytest.approx(-math.log(2e-6), rel=1e-3)


def test_a_picture_alone_is_not_moved(tmp_path):
    context, clean = toy_context(tmp_path), plane(33).requires_grad_()
    Determinant().bind(context)(look(context, clean, [0])).sum().backward()
    assert clean.grad.abs().max() == 0


def test_eps_must_be_positive():
    with pytest.raises(UserError, match="eps > 0"):
        Determinant(eps=0.0)
