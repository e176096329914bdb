"""Strips change places and nothing else changes."""

from __future__ import annotations

import itertools

import pytest
import torch

from gendistill.types import UserError
from gendistill.views.numbers import numbered
from gendistill.views.shuffle_patches import ShufflePatches


def draw(count, view=0):
    return numbered(0, torch.arange(count), view)


def literally(picture, columns, rows):
    """A picture cut into columns put in one order, then into rows put in another; the last strip takes the rest."""

    def strips(axis, order):
        size = picture.shape[axis] // len(order)
        cut = picture.tensor_split([size * i for i in range(1, len(order))], axis)
        return torch.cat([cut[i] for i in order], axis)

    picture = strips(2, columns)
    return strips(1, rows)


@pytest.mark.parametrize(("parts", "height", "width"), [(2, 8, 6), (3, 8, 7), (1, 5, 5)])
def test_it_is_an_arrangement_of_strips_and_all_are_drawn(parts, height, width):
    picture = torch.arange(height * width).float().view(1, height, width)
    orders = list(itertools.permutations(range(parts)))
    known = {tuple(literally(picture, a, b).flatten().tolist()) for a in orders for b in orders}
    found = ShufflePatches(parts)(picture.expand(400, 1, height, width), draw(400))
    assert {tuple(one.flatten().tolist()) for one in found} == known


def test_rows_and_columns_are_drawn_apart():
    picture = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(4000, 1, 2, 2)
    first = ShufflePatches()(picture, draw(4000))[:, 0, 0, 0].long()
    assert torch.bincount(first, minlength=4).min() > 900


def test_more_strips_than_pixels_are_refused():
    with pytest.raises(UserError, match="3 strips"):
        ShufflePatches(3)(torch.zeros(1, 1, 2, 4), draw(1))
    with pytest.raises(UserError, match="at least one"):
        ShufflePatches(0)
