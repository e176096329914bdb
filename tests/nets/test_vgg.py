"""VGG for small pictures: torchvision's convolutions, one linear layer, and a frame around what is below 32 px."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from gendistill.nets.base import Shape, build
from gendistill.nets.vgg import VGG


def made(net: VGG, size: int, channels: int = 3):
    return build(net, Shape(channels, size, 10, (0.4,) * channels, (0.2,) * channels), 0, torch.device("cpu")).eval()


@pytest.mark.parametrize(("depth", "letter"), [(11, "A"), (16, "D")])
def test_its_features_are_torchvisions(depth, letter):
    net, theirs = made(VGG(depth, norm="batch"), 64), make_layers(cfgs[letter], batch_norm=True).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), net.body.state_dict().values(), strict=True)))
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net.features(pixels), theirs((pixels - net.mean) / net.std).flatten(1))


@pytest.mark.parametrize(("size", "left"), [(8, 1), (28, 1), (32, 1), (64, 2), (128, 4), (224, 7)])
def test_it_takes_pictures_of_any_size(size, left):
    net = made(VGG(width=2), size, channels=1)
    assert net(torch.rand(2, 1, size, size)).shape == (2, 10)
    assert net.head.in_features == 16 * left * left


def test_28_px_stand_in_a_frame_of_the_mean():
    small, large = made(VGG(width=4), 28, channels=1), made(VGG(width=4), 32, channels=1)
    large.load_state_dict(small.state_dict())
    pixels = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(small(pixels), large(nn.functional.pad(pixels, (2, 2, 2, 2), value=0.4)))


def test_each_stage_shows_its_last_relu():
    *blocks, _ = made(VGG(width=2), 32).layers(torch.rand(2, 3, 32, 32))
    assert [tuple(block.shape[1:]) for block in blocks] == [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4), (16, 2, 2)]
    assert all(bool((block >= 0).all()) for block in blocks)
