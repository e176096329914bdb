"""Crops of real pictures: chosen by a teacher, or by the prior."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.anchors.crops import cut, mosaic
from gendistill.anchors.patches import Patches, framed, surest
from gendistill.anchors.prior_patches import PriorPatches, best_windows, highest
from gendistill.nets.trained import load
from gendistill.toys import ToyData, toy_context
from gendistill.types import Conditions, UserError
from tests.parts_under_test import TEACHER


def test_the_best_crop_of_every_picture_comes_before_any_second_best():
    losses = torch.tensor([[3.0, 1.0], [0.5, 0.7], [2.0, 9.0]])
    assert surest(losses).tolist() == [[1, 0], [0, 1], [2, 0], [1, 1], [0, 0], [2, 1]]


def test_the_first_patch_has_the_lowest_cross_entropy_of_all_crops(tmp_path):
    context = toy_context(tmp_path, ipc=2)
    patches = Patches((TEACHER,), crops=3)
    picked, boxes, net = patches._picked(context, 0), patches._boxes(context, 0), load(TEACHER, context)
    crops = torch.stack(
        [cut(context.stored(0)[p], box, 8) for p, mine in zip(picked, boxes, strict=True) for box in mine.tolist()]
    )
    losses = F.cross_entropy(net(crops), torch.zeros(len(crops), dtype=torch.long), reduction="none")
    expected = context.encode((crops[losses.argmin()][None] * 255).round().to(torch.uint8))
    assert torch.equal(patches.find(context, 0, torch.tensor([0])), expected)


def test_crops_cover_the_asked_share_and_stay_inside(tmp_path):
    context = toy_context(tmp_path, data=ToyData(size=32))
    top, left, side = Patches((TEACHER,), crops=50, scale=(0.25, 0.5))._boxes(context, 0).unbind(2)
    assert 16 <= int(side.min()) < int(side.max()) <= 23
    assert int(top.min()) == int(left.min()) == 0
    assert int((top + side).max()) == int((left + side).max()) == 32


def test_a_mosaic_holds_the_crops_of_a_quarter_of_the_list_each():
    pieces = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    assert mosaic(pieces, 2)[0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_tiles_are_shown_to_the_teacher_in_the_colour_of_the_data():
    shown = framed(torch.ones(1, 2, 2, 2), 4, (0.25, 0.5))
    assert shown[0, :, 0, 0].tolist() == [0.25, 0.5] and float(shown[:, :, 1:3, 1:3].min()) == 1


def test_mosaics_of_small_pictures_are_refused_and_of_large_ones_are_made(tmp_path):
    with pytest.raises(UserError, match="tiles=1"):
        Patches((TEACHER,), tiles=2).check(toy_context(tmp_path).real, 1)
    context = toy_context(tmp_path, data=ToyData(size=128), ipc=2)
    patches = Patches((TEACHER,), tiles=2, crops=2)
    patches.check(context.real, 2)
    assert patches.find(context, 0, torch.arange(2)).shape == (2, 1, 64, 64)


def test_too_few_crops_are_dealt_out_before_any_comes_again(tmp_path):
    context = toy_context(tmp_path, data=ToyData(size=128), ipc=2)
    patches = Patches((TEACHER,), tiles=2, pictures=2, crops=1)
    assert len(patches._chosen(context, 0)["chosen"]) == 2
    for one in patches.find(context, 0, torch.arange(2)):
        quarters = [part for row in one.split(32, 1) for part in row.split(32, 2)]
        same = [torch.equal(quarters[0], quarter) for quarter in quarters]
        assert same == [True, False, True, False], "each of the two crops is shown twice"


def test_the_best_window_has_the_highest_sum():
    gain = torch.zeros(2, 4, 4)
    gain[0, 3, 0], gain[1, 1:3, 2:4] = 5.0, 2.0
    corner, score = best_windows(gain, 2)
    assert corner.tolist() == [[2, 0], [1, 2]] and score.tolist() == [5.0, 8.0]


def test_of_every_cluster_the_highest_is_kept_the_largest_cluster_first():
    assert highest(torch.tensor([1.0, 3.0, 2.0, 9.0]), torch.tensor([1, 1, 1, 0])).tolist() == [1, 3]


def test_the_gain_is_the_noise_loss_without_the_class_less_that_with_it(tmp_path):
    context = toy_context(tmp_path)
    patches, latents = PriorPatches(draws=1), context.latents(0)[:2]
    level = patches._level(context, 0, 0)
    noise = seeds.normal(
        [seeds.stream(context.seed, "prior patches", 0, position, 0) for position in (0, 1)], latents.shape[1:]
    )
    x, asked = level.alpha * latents + level.sigma * noise, context.prior.condition(torch.zeros(2, dtype=torch.long))

    def loss(conditions):
        predicted = (x - level.alpha * context.prior.denoise(x, level, conditions).clean) / level.sigma
        return (predicted - noise).square().sum(1)

    expected = loss(Conditions(asked.null)) - loss(asked)
    torch.testing.assert_close(patches._gain(context, 0, torch.arange(2), latents), expected, rtol=1e-4, atol=1e-4)


def test_a_prior_that_knows_no_null_is_refused(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    monkeypatch.setattr(type(context.prior), "condition", lambda self, labels: Conditions({"class": labels}))
    with pytest.raises(UserError, match="no class"):
        PriorPatches().find(context, 0, torch.arange(2))
