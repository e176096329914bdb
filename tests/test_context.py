"""How many pictures pass a network at once."""

from __future__ import annotations

import pytest

from gendistill.context import TOGETHER_PIXELS, passing, together


@pytest.mark.parametrize(("side", "pictures"), [(8, 256), (32, 256), (64, 64), (224, 5), (512, 1), (2048, 1)])
def test_a_block_holds_as_many_pixels_whatever_their_size(side, pictures):
    assert together((3, side, side)) == pictures
    assert pictures == 1 or pictures * side**2 <= TOGETHER_PIXELS


def test_a_gpu_is_shown_more_where_no_gradient_is_wanted():
    assert passing((3, 224, 224), "cpu") == 5 and passing((3, 224, 224), "cuda") == 83
    assert passing((3, 32, 32), "cuda") == 256 and passing((3, 4096, 4096), "cuda") == 1
