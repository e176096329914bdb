"""A view is a function of set, picture and number alone."""

from __future__ import annotations

import pytest
import torch

from gendistill.learning.training import reader
from gendistill.toys import ToyData
from gendistill.types import UserError
from gendistill.views.base import Mix, Operation
from gendistill.views.color_jitter import ColorJitter
from gendistill.views.crop import RandomResizedCrop, Shift
from gendistill.views.cutmix import CutMix
from gendistill.views.flip import Flip
from gendistill.views.lighting import Lighting
from gendistill.views.mixup import MixUp
from gendistill.views.numbered import Views
from gendistill.views.shuffle_patches import ShufflePatches
from tests.parts_under_test import example, subclasses

CPU = torch.device("cpu")
IMAGES = ToyData(channels=3).open().train
READ = reader(IMAGES, CPU)
COUNT = len(IMAGES)
ALL = (ShufflePatches(), RandomResizedCrop(), Flip(), ColorJitter(), Lighting(), Shift(1))


def seen(views, positions, view=0):
    return views.look(READ, torch.as_tensor(positions), view, COUNT)


@pytest.mark.parametrize("mix", [None, CutMix(), MixUp()])
def test_a_picture_is_the_same_in_any_batch_and_order(mix):
    views = Views(ALL, mix, seed=3)
    whole, some = seen(views, range(COUNT), 4), seen(views, [9, 2, 30], 4)
    assert torch.equal(whole.pixels[[9, 2, 30]], some.pixels)
    if mix is not None:
        assert torch.equal(whole.share[[9, 2, 30]], some.share)
        assert torch.equal(whole.partners[[9, 2, 30]], some.partners)


@pytest.mark.parametrize("mix", [None, CutMix(), MixUp()])
def test_several_views_at_once_are_each_as_alone(mix):
    views = Views(ALL, mix, seed=3)
    positions, numbers = torch.tensor([9, 2, 30, 9, 2]), torch.tensor([4, 4, 1 << 43, 0, 4])
    found = seen(views, positions, numbers)
    for row, (position, number) in enumerate(zip(positions.tolist(), numbers.tolist(), strict=True)):
        alone = seen(views, [position], number)
        assert torch.equal(found.pixels[row], alone.pixels[0])
        if mix is not None:
            assert (found.partners[row], found.share[row]) == (alone.partners[0], alone.share[0])


def test_views_and_seeds_differ():
    looks = [seen(views, range(COUNT), view).pixels for views in (Views(), Views(seed=1)) for view in (0, 1)]
    assert not any(torch.equal(a, b) for i, a in enumerate(looks) for b in looks[:i])


def test_partners_are_those_that_are_told_and_every_picture_is_one_once():
    views = Views(seed=5)
    look = seen(views, range(COUNT), 2)
    assert torch.equal(look.partners, views.mixing(torch.arange(COUNT), 2, COUNT, (8, 8))[0])
    assert look.partners.sort().values.tolist() == list(range(COUNT))
    assert seen(Views(mix=None), [0]).partners is None


def test_a_partner_is_seen_in_its_own_view_before_it_is_mixed():
    """Where MixUp leaves nothing of a picture, its partner is seen, as it would be without a partner."""

    class Partner(Mix):
        def __call__(self, pixels, partners, draw):
            return partners, torch.zeros(len(pixels))

    views = Views(ALL, Partner(), seed=1)
    mixed, alone = seen(views, range(COUNT)), seen(Views(ALL, None, seed=1), range(COUNT))
    assert torch.equal(mixed.pixels, alone.pixels[mixed.partners])


def test_a_picture_that_is_a_partner_too_is_made_once():
    asked = []

    def read(positions):
        asked.extend(positions.tolist())
        return READ(positions)

    Views().look(read, torch.arange(COUNT), 0, COUNT)
    assert sorted(asked) == list(range(COUNT))


@pytest.mark.parametrize("part", subclasses(Operation), ids=lambda part: part.__name__)
def test_an_operation_keeps_the_shape_and_draws_as_many_numbers_whatever_they_are(part):
    asked = []
    for value in (0.0, 0.5, 1 - 2.0**-24):

        def draw(*shape, value=value):
            asked[-1].append(shape)
            return torch.full((5, *shape), value)

        asked.append([])
        found = example(part)(READ(torch.arange(5)), draw)
        assert found.shape == (5, 3, 8, 8) and bool(torch.isfinite(found).all())
    assert asked[0] == asked[1] == asked[2]


def test_what_is_no_operation_is_refused():
    with pytest.raises((UserError, TypeError), match="RandomResizedCrop"):
        Views(operations=("flip",))
    with pytest.raises((UserError, TypeError), match="CutMix"):
        Views(mix="cutmix")
