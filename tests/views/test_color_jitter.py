"""Colours change as torchvision changes them, for every picture by factors and in an order of its own."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from gendistill.types import UserError
from gendistill.views.color_jitter import ORDERS, ColorJitter, jittered
from gendistill.views.numbers import numbered

CHANGES = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)
PIXELS = torch.rand(60, 3, 9, 7, generator=torch.Generator().manual_seed(0))


def draw(count=60):
    return numbered(0, torch.arange(count), 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_order_is_torchvisions(channels):
    pixels = PIXELS[:6, :channels]
    factors = 0.2 + 1.6 * torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
    found = jittered(pixels, factors, torch.tensor(ORDERS))
    for n, order in enumerate(ORDERS):
        wanted = pixels[n]
        for which in order:
            wanted = CHANGES[which](wanted, float(factors[n, which]))
        torch.testing.assert_close(found[n], wanted, atol=1e-5, rtol=0)


def test_factors_reach_as_far_as_they_are_told():
    """Of a grey picture brightness alone moves the level, by its factor."""
    level = ColorJitter(0.3, 0.0, 0.5)(torch.full((2000, 3, 2, 2), 0.5), draw(2000))[:, 0, 0, 0] / 0.5
    assert 0.699 < level.min() < 0.705 and 1.295 < level.max() < 1.301
    assert abs(float(level.mean()) - 1) < 0.02
    assert ColorJitter(4.0, 0.0, 0.0)(PIXELS, draw()).min() >= 0, "a factor is never below 0"


def test_all_orders_are_drawn():
    numbers = (draw(600)(1)[:, 0] * len(ORDERS)).long()
    assert torch.bincount(numbers, minlength=6).min() > 70
    assert len(set(ORDERS)) == 6


def test_nothing_asked_is_nothing_done():
    torch.testing.assert_close(ColorJitter(0.0, 0.0, 0.0)(PIXELS, draw()), PIXELS)
    with pytest.raises(UserError, match="0 and above"):
        ColorJitter(contrast=-1)
