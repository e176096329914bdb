"""Answers in order, and what is wrong with a network said before it is measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gendistill.images import StoredImages
from gendistill.nets import logits as module
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.logits import logits
from gendistill.toys import ToyData
from gendistill.types import Class, Diverged, UserError

IMAGES = ToyData().open().train
CPU = torch.device("cpu")


def net(channels=1, classes=3):
    shape = Shape(channels, 8, classes, (0.5,) * channels, (0.5,) * channels)
    return build(ConvNet(depth=1, width=4, norm="batch"), shape, 0, CPU)


def test_answers_are_those_of_eval_mode_in_order_whatever_the_blocks(monkeypatch):
    one = net().train()
    found = logits(one, IMAGES)
    assert one.training, "the network was left in another mode"
    torch.testing.assert_close(found, one.eval()(IMAGES.pixels(range(len(IMAGES)))).detach())
    monkeypatch.setattr(module, "passing", lambda shape, device: 5)
    torch.testing.assert_close(logits(one, IMAGES), found)


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="3 channels, the pictures have 1"):
        logits(net(channels=3), IMAGES)
    with pytest.raises(UserError, match=r"3 classes with logits of shape \(36, 4\)"):
        logits(net(classes=4), IMAGES)
    with pytest.raises(UserError, match="no picture"):
        logits(net(), StoredImages([Class("a")], torch.zeros(0), torch.zeros(0, 1, 8, 8, dtype=torch.uint8)))
    with pytest.raises(Diverged, match="not finite"):
        broken = net()
        nn.init.constant_(broken.head.bias, torch.nan)
        logits(broken, IMAGES)
