"""Attacks on a linear classifier, whose worst picture is known, and on a curved one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gendistill import seeds
from gendistill.evaluation.metrics.attacks import DD_ROBUSTBENCH, FGSM, PGD, streams_of
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.types import Diverged, UserError

POSITIONS = torch.arange(6)
PIXELS = torch.rand(6, 1, 4, 4, generator=seeds.stream("pixels"))
LABELS = torch.tensor([0, 1, 0, 1, 0, 1])


class Linear(nn.Module):
    """Class 0 where the picture agrees with a pattern."""

    def __init__(self):
        super().__init__()
        self.pattern = torch.randn(16, generator=seeds.stream("pattern"))

    def forward(self, pixels):
        agreed = pixels.flatten(1) @ self.pattern
        return torch.stack([agreed, -agreed], 1)


def streams():
    return streams_of(0, "attack", POSITIONS)


def worst(eps):
    side = torch.where(LABELS == 0, -1.0, 1.0)[:, None, None, None]
    return (PIXELS + eps / 255 * side * Linear().pattern.sign().view(1, 1, 4, 4)).clamp(0, 1)


def test_one_step_of_fgsm_is_the_worst_picture_of_a_linear_classifier():
    torch.testing.assert_close(FGSM(8)(Linear(), PIXELS, LABELS, streams()), worst(8))


@pytest.mark.parametrize("random", [True, False])
def test_pgd_reaches_the_same_picture_in_steps(random):
    torch.testing.assert_close(PGD(8, steps=10, step=2, random=random)(Linear(), PIXELS, LABELS, streams()), worst(8))


def test_a_step_of_pgd_is_the_published_one():
    start = PIXELS + 8 / 255 * (2 * torch.stack([torch.rand(1, 4, 4, generator=one) for one in streams()]) - 1)
    side = torch.where(LABELS == 0, -1.0, 1.0)[:, None, None, None] * Linear().pattern.sign().view(1, 1, 4, 4)
    ball = PIXELS + ((start.clamp(0, 1) + 2 / 255 * side) - PIXELS).clamp(-8 / 255, 8 / 255)
    torch.testing.assert_close(PGD(8, steps=1)(Linear(), PIXELS, LABELS, streams()), ball.clamp(0, 1))


@pytest.mark.parametrize("attack", DD_ROBUSTBENCH, ids=str)
def test_no_attack_leaves_its_ball_or_the_range(attack):
    net = curved()
    found = attack(net, PIXELS, LABELS, streams())
    assert float((found - PIXELS).abs().max()) <= attack.eps / 255 + 1e-6
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    assert loss(net, found) > loss(net, PIXELS)
    assert all(p.grad is None for p in net.parameters()), "the network has gradients that nobody asked for"


def test_many_steps_do_more_harm_to_a_curved_classifier_than_one():
    net = curved()
    assert loss(net, PGD(16, steps=20)(net, PIXELS, LABELS, streams())) > loss(
        net, FGSM(16)(net, PIXELS, LABELS, streams())
    )


def test_a_picture_begins_where_its_own_stream_says():
    one = PGD(8, steps=1)(curved(), PIXELS[2:3], LABELS[2:3], streams_of(0, "attack", POSITIONS[2:3]))
    torch.testing.assert_close(one, PGD(8, steps=1)(curved(), PIXELS, LABELS, streams())[2:3])


def test_what_cannot_be_attacked_is_said():
    class Steps(nn.Module):
        def forward(self, pixels):
            return F.one_hot((pixels.flatten(1).sum(1) > 8).long(), 2).float()

    class Broken(nn.Module):
        def forward(self, pixels):
            return torch.stack([(pixels - pixels).sqrt().flatten(1).sum(1), pixels.flatten(1).sum(1)], 1)

    with pytest.raises(UserError, match="no gradient"):
        FGSM(8)(Steps(), PIXELS, LABELS, streams())
    with pytest.raises(Diverged, match="gradient"):
        FGSM(8)(Broken(), PIXELS, LABELS, streams())
    with pytest.raises(UserError, match="eps=0"):
        FGSM(0)
    with pytest.raises(UserError, match="steps >= 1"):
        PGD(8, steps=0)


def curved():
    return build(ConvNet(depth=2, width=8), Shape(1, 4, 2, (0.5,), (0.25,)), 0, torch.device("cpu")).eval()


def loss(net, pixels):
    with torch.no_grad():
        return float(F.cross_entropy(net(pixels), LABELS))
