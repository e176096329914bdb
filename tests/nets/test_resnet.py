"""ResNets are those of torchvision where the stem is large, and what the field makes of them where it is small."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as Reference

from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.types import UserError

RGB = Shape(3, 64, 10, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
CPU = torch.device("cpu")


@pytest.mark.parametrize(("depth", "block", "counts"), [(18, BasicBlock, [2, 2, 2, 2]), (50, Bottleneck, [3, 4, 6, 3])])
def test_with_a_large_stem_it_is_torchvisions(depth, block, counts):
    net = build(ResNet(depth, stem="large"), RGB, 0, CPU).eval()
    stream = torch.Generator().manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # statistics that are not the same everywhere
            layer.running_mean.normal_(0, 0.1, generator=stream)
            layer.running_var.uniform_(0.5, 1.5, generator=stream)
    theirs = Reference(block, counts, num_classes=10).eval()
    mine = [value for name, value in net.state_dict().items() if name not in ("mean", "std")]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), mine, strict=True)))
    pixels = torch.rand(2, 3, 64, 64, generator=stream)
    with torch.no_grad():
        torch.testing.assert_close(net(pixels), theirs((pixels - net.mean) / net.std), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)])
def test_it_has_as_many_weights_as_published(depth, count):
    with torch.device("meta"):
        net = ResNet(depth, stem="large").build(Shape(3, 224, 1000, (0.5,) * 3, (0.5,) * 3))
    assert sum(weight.numel() for weight in net.parameters()) == count


@pytest.mark.parametrize("pool", [False, True])
def test_bottlenecks_halve_small_pictures_three_times_and_widen_four_times(pool):
    net = build(ResNet(50, width=4, pool=pool), Shape(1, 8, 3, (0.5,), (0.2,)), 0, CPU)
    *blocks, features = net.layers(torch.rand(2, 1, 8, 8))
    assert [tuple(block.shape[1:]) for block in blocks] == [(16, 8, 8), (32, 4, 4), (64, 2, 2), (128, 1, 1)]
    assert features.shape == (2, 128) and net.head.in_features == 128


@pytest.mark.parametrize(
    ("stem", "pool", "kernel", "stride", "pooling"),
    [("large", False, 7, 2, torch.nn.MaxPool2d), ("large", True, 7, 1, torch.nn.AvgPool2d),
     ("mid", False, 3, 1, torch.nn.MaxPool2d), ("mid", True, 3, 1, torch.nn.AvgPool2d)],
)  # fmt: skip
def test_stems_shrink_by_strides_and_maxima_or_by_means_alone(stem, pool, kernel, stride, pooling):
    net = build(ResNet(10, width=4, stem=stem, pool=pool), RGB, 0, CPU)
    first, shrinks = net.body[0], net.body[3]
    assert (first.kernel_size, first.stride) == ((kernel,) * 2, (stride,) * 2) and isinstance(shrinks, pooling)
    blocks = net.layers(torch.rand(1, 3, 64, 64))
    assert blocks[0].shape[-1] == {"large": 16, "mid": 32}[stem]


@pytest.mark.parametrize(("init", "gain"), [("he", 2.0), ("torch", 1 / 3)])
def test_weights_are_drawn_as_it_says(init, gain):
    """Of a 3x3 convolution of as many channels in as out, torch's have a sixth of the variance."""
    weight = build(ResNet(18, init=init), RGB, 0, CPU).body[3].main[0].weight
    assert float(weight.detach().var()) * 9 * 64 == pytest.approx(gain, rel=0.05)


def test_names_of_weights_stay_as_they_were_kept():
    keys = list(build(ResNet(10, width=4), RGB, 0, CPU).state_dict())
    weights = [name for name in keys if name.endswith("weight") and "body.4" in name]
    assert weights == [f"body.4.{place}.weight" for place in
                       ("main.0", "main.1", "main.4", "main.5", "shortcut.0", "shortcut.2")]  # fmt: skip
    assert keys[:2] == ["mean", "std"] and keys[-2:] == ["head.weight", "head.bias"]


@pytest.mark.parametrize("net", [ResNet(width=0), ConvNet(depth=0)])
def test_networks_of_nothing_are_refused(net):
    with pytest.raises(UserError, match="needs at least 1"):
        build(net, RGB, 0, CPU)


def test_pictures_too_small_are_refused():
    with pytest.raises(UserError, match="at least 32 px, these have 28"):
        ResNet(50, stem="large").build(Shape(1, 28, 10, (0.5,), (0.2,)))
    grey = Shape(1, 8, 10, (0.5,), (0.2,))
    ResNet(10, width=4).build(grey)
    with pytest.raises(UserError, match="at least 16 px"):  # its last maps would be single numbers, less their mean
        ResNet(10, width=4, norm="instance").build(grey)
