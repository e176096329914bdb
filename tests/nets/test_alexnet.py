"""AlexNet for small pictures, layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill.nets.alexnet import AlexNet
from gendistill.nets.base import Shape, build


def made(net: AlexNet, size: int, channels: int = 3):
    return build(net, Shape(channels, size, 10, (0.4,) * channels, (0.2,) * channels), 0, torch.device("cpu")).eval()


def test_it_is_five_convolutions_three_maxima_and_a_linear_layer():
    net = made(AlexNet(), 32)
    one, two, three, four, five, head = (weight for weight in net.parameters() if weight.ndim > 1)
    bias = [weight for weight in net.parameters() if weight.ndim == 1]
    assert [len(weight) for weight in (one, two, three, four, five)] == [128, 192, 256, 192, 192]
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = F.max_pool2d(F.conv2d((pixels - 0.4) / 0.2, one, bias[0], padding=2).relu(), 2)
    x = F.max_pool2d(F.conv2d(x, two, bias[1], padding=2).relu(), 2)
    x = F.conv2d(x, three, bias[2], padding=1).relu()
    x = F.conv2d(x, four, bias[3], padding=1).relu()
    x = F.max_pool2d(F.conv2d(x, five, bias[4], padding=1).relu(), 2)
    assert x.shape == (2, 192, 4, 4)
    torch.testing.assert_close(net(pixels), x.flatten(1) @ head.T + bias[5])


@pytest.mark.parametrize(("size", "left"), [(8, 4), (28, 4), (32, 4), (64, 8), (128, 16), (224, 28)])
def test_it_takes_pictures_of_any_size(size, left):
    net = made(AlexNet(width=2), size, channels=1)
    assert net(torch.rand(2, 1, size, size)).shape == (2, 10)
    assert net.head.in_features == 6 * left * left


def test_a_block_ends_before_each_maximum():
    *blocks, _ = made(AlexNet(width=2, norm="batch"), 32).layers(torch.rand(2, 3, 32, 32))
    assert [tuple(block.shape[1:]) for block in blocks] == [(4, 32, 32), (6, 16, 16), (6, 8, 8)]


def test_its_name_says_the_normalisation():
    assert [str(AlexNet(norm=norm)) for norm in ("none", "instance", "batch")] == [
        "AlexNet",
        "AlexNet-IN",
        "AlexNet-BN",
    ]
