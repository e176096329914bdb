"""Light moves a picture along the axes of ImageNet's colours."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from gendistill.types import UserError
from gendistill.views.lighting import VALUES, VECTORS, Lighting
from gendistill.views.normal import normal_numbers
from gendistill.views.numbers import numbered


def draw(count):
    return numbered(0, torch.arange(count), 0)


def test_one_colour_is_added_to_all_pixels_of_a_picture():
    pixels = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    added = Lighting()(pixels, draw(5)) - pixels
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added))
    assert len(added[:, 0, 0, 0].unique()) == 5


def test_along_each_axis_it_is_as_strong_as_its_eigenvalue():
    """The formula, the other way round: projections on the axes have deviations std * lambda, and know nothing of each other."""
    colours = Lighting(std=0.5)(torch.zeros(20_000, 3, 1, 1), draw(20_000))[:, :, 0, 0]
    strength = colours @ torch.tensor(VECTORS)
    torch.testing.assert_close(strength.std(0), 0.5 * torch.tensor(VALUES), rtol=0.03, atol=0)
    assert float((torch.corrcoef(strength.T) - torch.eye(3)).abs().max()) < 0.05


def test_numbers_are_normal_and_finite_at_both_ends():
    assert stats.kstest(normal_numbers(draw(5000)(1)[:, 0]).numpy(), "norm").pvalue > 0.01
    ends = normal_numbers(torch.tensor([0.0, 1 - 2.0**-24]))
    assert bool(torch.isfinite(ends).all()) and float(ends.sum()) == pytest.approx(0, abs=1e-6)


def test_other_channels_are_refused():
    with pytest.raises(UserError, match="1 channels"):
        Lighting()(torch.zeros(1, 1, 2, 2), draw(1))
