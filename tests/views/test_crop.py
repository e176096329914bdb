"""Crops are torchvision's, for every picture its own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import RandomResizedCrop as Theirs
from torchvision.transforms.v2 import functional as tv

from gendistill.types import UserError
from gendistill.views.crop import RandomResizedCrop, Shift, resized
from gendistill.views.numbers import numbered

PIXELS = torch.rand(40, 3, 32, 24, generator=torch.Generator().manual_seed(0))


def draw(count=40, view=0):
    return numbered(0, torch.arange(count), view)


def test_boxes_are_enlarged_as_torchvision_enlarges_them():
    top, left, height, width = RandomResizedCrop().boxes(32, 24, draw())
    found = resized(PIXELS, top, left, height, width)
    for n in range(40):
        box = [int(one[n]) for one in (top, left, height, width)]
        wanted = tv.resized_crop(PIXELS[n], *box, [32, 24], antialias=False)
        # grid_sample counts places from -1 to 1, which rounds them by up to 2e-6 of a pixel here.
        torch.testing.assert_close(found[n], wanted, atol=2e-6, rtol=0)


def test_the_whole_picture_is_the_picture():
    ends = [torch.full((40,), size) for size in (0, 0, 32, 24)]
    torch.testing.assert_close(resized(PIXELS, *ends), PIXELS, atol=1e-6, rtol=0)


def test_boxes_have_the_areas_and_ratios_of_torchvision():
    """Means over many boxes agree, and none leaves the picture."""
    crop = RandomResizedCrop((0.2, 0.9), (0.5, 2.0))
    top, left, height, width = (one.double() for one in crop.boxes(64, 64, draw(3000)))
    assert bool(((top >= 0) & (left >= 0) & (top + height <= 64) & (left + width <= 64)).all())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        boxes = [Theirs.get_params(torch.zeros(1, 64, 64), [0.2, 0.9], [0.5, 2.0]) for _ in range(3000)]
    theirs = torch.tensor(boxes).double()
    for mine, other in zip((top, left, height, width), theirs.T, strict=True):
        error = ((mine.var() + other.var()) / 3000).sqrt()
        assert abs(float(mine.mean() - other.mean())) < 4 * float(error)


def test_where_no_box_fits_the_largest_in_the_middle_is_taken():
    top, left, height, width = RandomResizedCrop((1.0, 1.0), (2.0, 2.0)).boxes(32, 32, draw(3))
    assert [one[0].item() for one in (top, left, height, width)] == [8, 0, 16, 32]


def test_a_shift_is_a_crop_of_the_padded_picture():
    shift = Shift(2)
    moved, padded = shift(PIXELS, draw()), F.pad(PIXELS, [2] * 4)
    places = set()
    for n in range(40):
        fits = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(padded[n, :, y : y + 32, x : x + 24], moved[n])
        ]
        assert len(fits) == 1
        places.update(fits)
    assert len(places) > 12


@pytest.mark.parametrize("given", [{"scale": (0.0, 1.0)}, {"scale": (0.9, 0.1)}, {"ratio": (0.0, 1.0)}])
def test_impossible_boxes_are_refused(given):
    with pytest.raises(UserError, match="scale="):
        RandomResizedCrop(**given)
