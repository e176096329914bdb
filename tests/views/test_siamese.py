"""What siamese augmentation does to single pictures, beside the same thing done to one picture at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.views.siamese import OPERATIONS, Siamese, crop, cutout

PIXELS = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
MEAN, STD = torch.full((1, 3, 1, 1), 0.4), torch.full((1, 3, 1, 1), 0.25)


def test_a_crop_is_a_crop_of_the_picture_padded_by_the_mean_colour():
    moved, padded = (
        crop(PIXELS, lambda *shape: torch.rand(12, *shape, generator=seeds.stream(0))),
        F.pad(PIXELS, [4] * 4),
    )
    for n in range(12):
        fits = [
            (y, x) for y in range(9) for x in range(9) if torch.equal(padded[n, :, y : y + 32, x : x + 32], moved[n])
        ]
        assert len(fits) == 1


@pytest.mark.parametrize("side", [28, 30, 32])
def test_a_cutout_hides_half_the_side_wherever_its_middle_is(side):
    """Of an even square the middle is between two pixels, or at an edge of the picture."""
    half = side // 2
    middles = side + 1 - half % 2
    for middle in range(middles):
        seen = cutout(
            torch.ones(1, 1, side, side), lambda *shape, at=middle: torch.full((1, *shape), (at + 0.5) / middles)
        )
        hidden = set(torch.nonzero(seen[0, 0] == 0)[:, 0].tolist())
        assert hidden == set(range(middle - half // 2, middle - half // 2 + half)) & set(range(side))


@pytest.mark.parametrize("siamese", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_comes_out_lies_in_memory_as_pictures_do(name, siamese):
    """With channels last a student's convolutions take a fifth longer on a CPU."""
    found = Siamese((name,))(PIXELS, seeds.stream(1), MEAN, STD, siamese)
    assert found.is_contiguous() and found.shape == PIXELS.shape


@pytest.mark.parametrize("name", OPERATIONS)
def test_siamese_does_the_same_to_all(name):
    """Two pictures that are one stay one, and without it they part."""
    twice = PIXELS[:1].expand(8, -1, -1, -1)
    same, own = (Siamese((name,))(twice, seeds.stream(2), MEAN, STD, siamese) for siamese in (True, False))
    assert torch.equal(same, same[:1].expand_as(same)) and not torch.equal(own, own[:1].expand_as(own))
