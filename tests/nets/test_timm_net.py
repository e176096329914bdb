"""Architectures of timm as classifiers: the same logits, features that the head sees, and pictures of the data's size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch

from gendistill.config import fields, overrides
from gendistill.config.overrides import read_value
from gendistill.learning.training import Training
from gendistill.nets.base import Shape, build
from gendistill.nets.timm_net import Timm
from gendistill.nets.trained import Student, load
from gendistill.objectives.attention import Attention
from gendistill.toys import toy_context
from gendistill.types import UserError

VIT = Timm("vit_tiny_patch16_224", options={"patch_size": 4, "depth": 2})
SWIN = Timm("swin_tiny_patch4_window7_224", options={"patch_size": 2, "window_size": 4, "depths": [1, 1, 1, 1]})
MOBILE = Timm("mobilenetv2_100")


def made(net: Timm, size: int = 32, channels: int = 3):
    shape = Shape(channels, size, 5, (0.4,) * channels, (0.2,) * channels)
    return build(net, shape, 0, torch.device("cpu"))


def some(size: int = 32, channels: int = 3):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("net", [MOBILE, VIT, SWIN], ids=str)
def test_the_logits_are_timms_and_the_head_sees_its_features(net):
    mine, pixels = made(net).eval(), some()
    size = {} if net is MOBILE else {"img_size": 32}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        theirs = timm.create_model(net.name, num_classes=5, **size, **dict(net.options)).eval()
        x = (pixels - 0.4) / 0.2
        torch.testing.assert_close(mine(pixels), theirs(x))
        seen = theirs.forward_head(theirs.forward_features(x), pre_logits=True)
        torch.testing.assert_close(mine.features(pixels), seen)
        assert torch.equal(mine(pixels), mine.head(mine.features(pixels)))


@pytest.mark.parametrize(
    ("net", "size", "blocks"),
    [(MOBILE, 64, [32, 16, 8, 4, 2]), (VIT, 32, [8, 8]), (SWIN, 32, [16, 8, 4, 2]),
     (replace(MOBILE, stride=1), 32, [32, 16, 8, 4, 2])],
    ids=str,
)  # fmt: skip
def test_layers_are_maps_and_then_the_features(net, size, blocks):
    mine = made(net, size).eval()
    *shown, features = mine.layers(some(size))
    assert [tuple(block.shape[2:]) for block in shown] == [(side, side) for side in blocks]
    torch.testing.assert_close(features, mine.features(some(size)))
    assert len(Attention().look(mine, some(size))) == 2


@pytest.mark.parametrize("name", [
    "mobilenetv2_100", "efficientnet_b0", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "dla46_c",
])  # fmt: skip
def test_the_students_of_the_field_take_large_and_small_pictures(name):
    for size, channels in ((224, 3), (64, 1), (32, 3)):
        with torch.no_grad():
            assert made(Timm(name), size, channels)(some(size, channels)).shape == (2, 5)


def test_nothing_is_left_to_chance_but_what_options_ask_for():
    def chances(net):
        return [layer.drop_prob for layer in net.modules() if getattr(layer, "drop_prob", 0)]

    assert chances(timm.create_model(SWIN.name, depths=(1, 1, 1, 1))) and not chances(made(SWIN))
    assert chances(made(replace(SWIN, options=(*SWIN.options, ("drop_path_rate", 0.1)))))
    net, pixels = made(Timm("ghostnet_050")), some()  # timm's drops a fifth of its features in training
    assert net.training and torch.equal(net(pixels), net(pixels))


def test_it_is_trained_and_kept(tmp_path):
    context = toy_context(tmp_path)
    student = Student(MOBILE, Training(epochs=1, batch=8, augment=None))
    first, again = load(student, context), load(student, toy_context(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_it_prints_as_the_code_that_makes_it(monkeypatch):
    for module in (fields, overrides):  # to find all parts takes half a minute
        monkeypatch.setattr(module, "parts", lambda: {"Timm": Timm})
    assert VIT.options == (("patch_size", 4), ("depth", 2)) and SWIN.options[-1] == ("depths", (1, 1, 1, 1))
    for net in (VIT, SWIN, replace(MOBILE, stride=1)):
        assert read_value(repr(net)) == net and hash(net) == hash(replace(net))
    assert read_value('Timm("vit_tiny_patch16_224", options={"patch_size": 4, "depth": 2})') == VIT
    assert str(VIT) == "vit_tiny_patch16_224 (patch_size=4, depth=2)" and str(MOBILE) == "mobilenetv2_100"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "mobilnetv2_100"}, "did you mean 'mobilenetv2_100'"),
        ({"name": "resnet18.a1_in1k"}, "these are new: 'resnet18'"),
        ({"name": "resnet18", "options": {"in_chans": 1}}, "in_chans is no option of Timm"),
        ({"name": "resnet18", "options": {"pretrained": True}}, "weights are new"),
        ({"name": "resnet18", "options": {"norm_layer": torch.nn.LayerNorm}}, "must be a number, a string"),
        ({"name": "resnet18", "stride": 0}, "at least 1"),
    ],
)
def test_what_makes_no_architecture_is_refused(given, says):
    with pytest.raises(UserError, match=says):
        Timm(**given)


@pytest.mark.parametrize(
    ("net", "size", "says"),
    [
        (Timm("vit_tiny_patch16_224"), 28, "patches of 16 px, and 28 px are no multiple"),
        (Timm("vit_tiny_patch16_224", stride=1), 32, "patch_size"),
        (Timm("inception_v4"), 32, "timm cannot make inception_v4 for pictures of 32 px"),
        (Timm("resnet18", options={"patch_size": 4}), 32, "timm cannot make resnet18 .*patch_size"),
        (Timm("levit_128s"), 224, "no single head"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(net, size, says):
    with pytest.raises(UserError, match=says):
        made(net, size)
