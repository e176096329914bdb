"""Attention maps by hand, and what they do not depend on."""

from __future__ import annotations

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh
from gendistill.objectives.attention import Attention, attention
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER


def test_a_map_is_the_sum_of_powers_over_channels_of_length_one():
    block = torch.tensor([[[[3.0, 0.0]], [[0.0, -2.0]]]])  # two channels, two places
    assert attention(block, 2.0)[0].tolist() == pytest.approx([9 / (81 + 16) ** 0.5, 4 / (81 + 16) ** 0.5])
    assert attention(block, 4.0)[0].tolist() == pytest.approx(
        [81 / (81**2 + 16**2) ** 0.5, 16 / (81**2 + 16**2) ** 0.5]
    )


def test_a_channel_answers_by_the_sum_of_powers_over_its_places():
    block = torch.tensor([[[[3.0, 1.0]], [[0.0, -2.0]]]])
    assert attention(block, 2.0, channels=True)[0].tolist() == pytest.approx([10 / 116**0.5, 4 / 116**0.5])
    moved = block.flip(-1)  # where something is does not count, what it is does
    assert torch.equal(attention(moved, 4.0, channels=True), attention(block, 4.0, channels=True))
    assert not torch.equal(attention(moved, 4.0), attention(block, 4.0))


def test_a_map_knows_neither_sign_nor_scale():
    block = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(-7 * block, 4.0), attention(block, 4.0))


def test_the_loss_is_the_distance_of_mean_maps_and_features(tmp_path):
    context = toy_context(tmp_path, classes=(0,))
    networks, draft = Fixed((TEACHER,)), toy_draft(context)
    (net,) = networks.draw(context)
    synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)
    real, made = net.layers(context.stored(0).float() / 255), net.layers(synthetic.pixels)
    expected = 0.0
    for a, b in zip(real[:-2], made[:-2], strict=True):  # all blocks but the last
        maps = [x.pow(4).sum(1).flatten(1) for x in (a, b)]
        means = [(m / m.norm(dim=1, keepdim=True)).mean(0) for m in maps]
        expected = expected + (means[0] - means[1]).pow(2).sum()
    features = (real[-1].mean(0) - made[-1].mean(0)).pow(2).sum()
    found = Attention(networks, augment=None, power=4.0, balance=0.3).bind(context)(synthetic)
    torch.testing.assert_close(found[0], 2 * (expected + 0.3 * features))
    without = Attention(networks, augment=None, balance=0.0).bind(context)(synthetic)
    torch.testing.assert_close(found - without, 0.3 * MeanFeatures(networks, augment=None).bind(context)(synthetic))


def test_a_network_of_one_block_has_features_only(tmp_path):
    context = toy_context(tmp_path)
    (net,) = Fresh(ConvNet(depth=1, width=8)).draw(context)
    assert Attention(balance=1.0).look(net, torch.rand(2, 1, 8, 8)).shape == (2, 8 * 16)


def test_powers_below_one_are_refused():
    with pytest.raises(UserError, match="power >= 1"):
        Attention(power=0.5)
