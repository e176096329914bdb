"""Counts by hand."""

from __future__ import annotations

import pytest
import torch

from gendistill.evaluation.metrics.per_class import Mistake, per_class
from gendistill.types import UserError

TAKEN = torch.tensor([0, 0, 1, 2, 2, 2, 0])
LABELS = torch.tensor([0, 0, 0, 2, 2, 0, 2])


def logits(taken, classes=4):
    return torch.nn.functional.one_hot(taken, classes).float()


def test_confusion_and_accuracy_of_each_class():
    found = per_class(logits(TAKEN), LABELS)
    assert found.confusion == {(0, 0): 2, (0, 1): 1, (0, 2): 1, (2, 0): 1, (2, 2): 2}
    assert found.pictures == (4, 0, 3, 0)
    assert found.accuracy == (50, None, pytest.approx(200 / 3), None)
    assert found.mean == pytest.approx((50 + 200 / 3) / 2) and found.worst == 0


def test_mistakes_come_by_their_number():
    found = per_class(logits(torch.tensor([1, 1, 0, 0])), torch.tensor([0, 0, 1, 0]))
    assert found.mistakes(5) == (Mistake(true=0, taken=1, pictures=2), Mistake(true=1, taken=0, pictures=1))
    assert found.mistakes(1) == found.mistakes(5)[:1]


def test_the_mean_over_classes_does_not_see_how_many_pictures_they_have():
    labels = torch.tensor([0] * 98 + [1] * 2)
    assert per_class(logits(torch.zeros(100, dtype=torch.long)), labels).mean == 50


@pytest.mark.parametrize(
    "found, labels, words",
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), "do not fit logits over 3 classes"),
        (torch.zeros(2, 3), torch.tensor([0]), "wanted"),
        (torch.full((1, 3), torch.nan), torch.tensor([0]), "not all finite"),
    ],
)
def test_what_does_not_fit_is_said(found, labels, words):
    with pytest.raises(UserError, match=words):
        per_class(found, labels)
