"""Labels that are of other pictures are found out, and those of poor pictures are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.agreement import agreement, check_agreement
from gendistill.images import StoredImages
from gendistill.labelers.relabel import StaticLabels
from gendistill.types import Class, UserError

RANDOM = torch.Generator().manual_seed(0)


def labelled(labels, likeliest, classes=10):
    """Black pictures of these classes, with soft labels that have these as the likeliest."""
    images = StoredImages([Class(str(i)) for i in range(classes)], labels, torch.zeros(len(labels), 1, 2, 2).byte())
    soft = torch.full((len(labels), classes), 0.3 / (classes - 1))
    return replace(Distilled.of(images), soft=StaticLabels.of(soft.scatter(1, likeliest[:, None], 0.7).log(), 1.0))


@pytest.mark.parametrize(("classes", "ipc"), [(10, 1), (10, 3), (3, 20), (100, 1)])
def test_labels_in_another_order_are_refused(classes, ipc):
    labels = torch.arange(classes).repeat_interleave(ipc)
    check_agreement(labelled(labels, labels, classes), "theirs")
    with pytest.raises(UserError, match=f"'theirs' are in another order .* {classes * ipc} would be"):
        check_agreement(labelled(labels, labels.roll(ipc), classes), "theirs")
    if ipc > 1:
        assert agreement(labels[torch.randperm(len(labels), generator=RANDOM)], labels, classes).doubtful


@pytest.mark.parametrize(("classes", "ipc", "right"), [(2, 10, 0.6), (10, 10, 0.2)])
def test_a_weak_teacher_is_hardly_ever_taken_for_one_in_another_order(classes, ipc, right):
    labels, refused = torch.arange(classes).repeat_interleave(ipc), 0
    for _ in range(200):
        said = torch.randint(classes, labels.shape, generator=RANDOM)
        knows = torch.rand(len(labels), generator=RANDOM) < (right - 1 / classes) / (1 - 1 / classes)
        refused += agreement(torch.where(knows, labels, said), labels, classes).astray
    assert refused <= 4


def test_labels_of_a_teacher_that_sees_no_class_are_told_and_not_refused(caplog):
    labels = torch.arange(10).repeat_interleave(5)
    check_agreement(labelled(labels, torch.full_like(labels, 3)), "noise")
    assert "'noise' agree with the classes of its pictures no better than guesses: 5 of the 50" in caplog.text


def test_a_poor_teacher_and_few_pictures_pass_in_silence(caplog):
    labels = torch.arange(10).repeat_interleave(10)
    poor = torch.where(torch.arange(100) % 3 == 0, labels, labels.roll(10))  # right on a third
    check_agreement(labelled(labels, poor), "poor")
    check_agreement(labelled(torch.arange(3), torch.tensor([1, 2, 0]), 3), "few")
    check_agreement(labelled(labels, labels).hard(), "hard")
    assert not caplog.text


def test_chance_is_that_of_a_random_order():
    found = agreement(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), 2)
    assert (found.right, found.count, found.chance, found.at_best) == (3, 4, 0.5, 3)
