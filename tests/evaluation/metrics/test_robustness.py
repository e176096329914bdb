"""The figures of DD-RobustBench and BEARD on numbers made by hand, and accuracies of a classifier whose margin is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gendistill.evaluation.metrics.attacks import FGSM, PGD
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS
from gendistill.evaluation.metrics.robustness import Adversarial, Attacked, Corrupted, Worn, attack, corrupt
from gendistill.images import StoredImages
from gendistill.types import Class, UserError


class Bright(nn.Module):
    """Class 1 where the mean is above 100.5 / 255."""

    def forward(self, pixels):
        above = pixels.flatten(1).mean(1) - 100.5 / 255
        return torch.stack([-above, above], 1)


def greys(*values, labels):
    stored = torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    return StoredImages([Class("dark"), Class("bright")], torch.tensor(labels), stored.contiguous())


IMAGES = greys(20, 97, 99, 104, 180, labels=[1, 0, 0, 1, 1])  # the first one is taken for a dark one from the start


def under(clean, *attacked, seconds=1.0):
    return Adversarial(clean, seconds, tuple(Attacked("", a, t) for a, t in attacked), 10)


def test_the_figures_of_the_benchmarks():
    found = under(80, (60, 3), (20, 9))
    assert (found.mean, found.least) == (40, 20)
    assert found.robustness_ratio == pytest.approx(100 * (1 - (80 - 40) / (80 - 20)))
    assert found.attack_efficiency == pytest.approx(100 * (6 - 1) / (9 - 1))
    assert found.crei() == pytest.approx((100 / 3 + 62.5) / 2)
    assert found.crei(share=0.2) == pytest.approx(0.2 * 100 / 3 + 0.8 * 62.5)


def test_a_figure_without_a_denominator_is_none():
    assert under(80, (80, 3), (90, 9)).robustness_ratio is None
    assert under(80, (80, 3)).crei() is None
    assert under(80, (20, 0.5), seconds=1).attack_efficiency is None


def test_the_ratio_of_a_single_attack_says_nothing():
    assert under(80, (79, 3)).robustness_ratio == under(80, (1, 3)).robustness_ratio == 0


def test_attacks_turn_exactly_the_pictures_within_reach():
    found = attack(Bright(), IMAGES, (FGSM(1), FGSM(2), PGD(4, steps=4), FGSM(100)))
    assert found.clean == pytest.approx(80) and found.pictures == 5
    # The margins are 3.5, 1.5, 3.5 and 79.5 / 255.
    assert [one.accuracy for one in found.attacks] == pytest.approx([80, 60, 20, 0])
    assert [one.attack for one in found.attacks] == ["FGSM 1/255", "FGSM 2/255", "PGD-4 4/255", "FGSM 100/255"]
    assert all(one.seconds > 0 for one in found.attacks)


def test_attacks_are_the_same_again_and_leave_the_network_as_it_was():
    net = nn.Sequential(nn.Dropout(0.5), Bright()).train()
    first, second = (attack(net, IMAGES, (PGD(3, steps=1),), seed=1) for _ in range(2))
    assert first.attacks[0].accuracy == second.attacks[0].accuracy and first.clean == 80
    assert net.training and net[0].training


def test_corruptions_turn_what_they_brighten():
    chosen = [one for one in CORRUPTIONS if one.name in ("brightness", "contrast")]
    found = corrupt(Bright(), IMAGES, chosen, severities=(1, 5))
    # 0.05 and 0.3 more make all but the darkest bright; constant pictures have no contrast to lose.
    assert [(one.corruption, one.accuracy) for one in found.corruptions] == [
        ("brightness", (pytest.approx(40), pytest.approx(40))),
        ("contrast", (pytest.approx(80), pytest.approx(80))),
    ]
    assert found.mean == pytest.approx(60) and found.clean == pytest.approx(80)


def test_the_mean_counts_every_corruption_and_severity_once():
    assert Corrupted(90, (1, 2), (Worn("a", (80, 60)), Worn("b", (50, 10))), 5).mean == 50


def test_nothing_to_do_is_said():
    with pytest.raises(UserError, match="no attack"):
        attack(Bright(), IMAGES, ())
    with pytest.raises(UserError, match="no severity"):
        corrupt(Bright(), IMAGES, severities=())
