"""Copies are found, and empty pictures are not taken for some."""

from __future__ import annotations

import pytest
import torch

from gendistill import seeds
from gendistill.evaluation.metrics import copying as module
from gendistill.evaluation.metrics import features
from gendistill.evaluation.metrics.copying import copying, in_pixels
from gendistill.images import StoredImages
from gendistill.types import Class, UserError


def grey(*values, channels=1, side=2):
    stored = torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, channels, side, side)
    return StoredImages([Class("a")], torch.zeros(len(values)), stored.contiguous())


def noise(*key, count):
    return torch.randint(256, (count, 3, 8, 8), generator=seeds.stream(*key)).byte()


def of(stored):
    return StoredImages([Class("a")], torch.zeros(len(stored)), stored)


def test_distances_and_ratios_of_grey_pictures():
    copy, near, between = copying(grey(100, 12, 160), grey(0, 10, 100, 200)).neighbours
    assert (copy.picture, copy.real, copy.distance, copy.ratio) == (0, 2, 0, 0)
    assert (near.real, near.distance, near.ratio) == (1, pytest.approx(2 / 255), pytest.approx(2 / 10))
    assert (between.real, between.distance, between.ratio) == (3, pytest.approx(40 / 255), pytest.approx(40 / 100))


def test_a_real_picture_that_is_there_twice_is_no_neighbour_of_itself():
    twice = copying(grey(12), grey(10, 0, 10, 10)).neighbours[0]
    assert (twice.real, twice.ratio) == (0, pytest.approx(2 / 10))


def test_copies_of_many_pictures_are_told_apart_from_rounding():
    real = noise("real", count=40)
    found = copying(of(real.flip(0)), of(real)).neighbours
    assert [(one.real, one.distance, one.ratio) for one in found] == [(39 - i, 0, 0) for i in range(40)]


def test_a_mirrored_copy_is_a_copy():
    real = noise("real", count=40)
    found = copying(of(real[5:7].flip(-1)), of(real)).neighbours
    assert [(one.real, one.distance, one.ratio) for one in found] == [(5, 0, 0), (6, 0, 0)]


def test_the_likeliest_copy_comes_first():
    found = copying(grey(12, 60, 101), grey(0, 10, 100, 200))
    assert [one.picture for one in found.closest] == [2, 0, 1]
    assert found.share(below=0.3) == pytest.approx(2 / 3)


def test_blocks_and_forgetting_change_nothing(monkeypatch):
    ours, real = of(noise("ours", count=5)), of(noise("real", count=9))
    whole = copying(ours, real)
    monkeypatch.setattr(features, "passing", lambda shape, device: 2)
    assert copying(ours, real) == whole
    monkeypatch.setattr(features, "HELD_BYTES", 0)
    monkeypatch.setattr(module, "ENTRIES", 1)
    assert copying(ours, real) == whole


def test_features_see_copies_that_pixels_do_not():
    real = noise("real", count=9)
    turned = of(real[4:5].flip(-2))

    def symmetric(pixels):
        return in_pixels((pixels + pixels.flip(-2)) / 2)

    assert copying(turned, of(real)).neighbours[0].ratio > 0.5
    seen = copying(turned, of(real), symmetric).neighbours[0]
    assert seen.real == 4 and seen.ratio == 0


def test_large_pictures_are_brought_to_one_size_first():
    pixels = torch.rand(2, 1, 96, 48, generator=seeds.stream("large"))
    assert in_pixels(pixels).shape == (2, 64 * 48)
    assert float((in_pixels(pixels) - in_pixels(pixels + 0.25)).norm(dim=1)[0]) == pytest.approx(0.25, rel=1e-5)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(UserError, match="3 channels"):
        copying(grey(1, channels=3), grey(1, 2))
    with pytest.raises(UserError, match="bring the pictures to one size"):
        copying(grey(1, side=4), grey(1, 2))
    with pytest.raises(UserError, match="all the same"):
        copying(grey(1), grey(2, 2))
