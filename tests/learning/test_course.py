"""What a network is to learn of a batch, and what it minimises."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from gendistill.learning.course import Course, Criterion, Targets
from gendistill.learning.label_losses import Divergence
from gendistill.learning.losses import divergence
from gendistill.types import SoftLabels
from gendistill.views.base import Shown

LABELS = torch.tensor([0, 1, 2, 1])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
BATCH, PARTNERS, SHARE = torch.tensor([3, 0]), torch.tensor([2, 1]), torch.tensor([0.75, 0.5])
MIXED = Shown(torch.zeros(2, 1, 4, 4), PARTNERS, SHARE)
PLAIN = Criterion(Divergence(), 1.0, 0.0)


class Soft(SoftLabels):
    """Labels that follow from a picture's position; it notes who is asked for, and in which view."""

    kind, temperature, bytes, fingerprint = "soft", 1.0, 0, "some"

    def __init__(self, views=None):
        self.views, self.asked = views, []

    def save(self, folder):
        return {}

    def at(self, positions, view=0):
        return F.log_softmax(torch.stack([positions * k for k in range(3)], 1).float(), dim=1)

    def view(self, epoch, epochs, first=0):
        return 10 * epoch + first

    def seen(self, pixels, positions, view):
        self.asked.append((positions.tolist(), view))
        return self.at(positions, view)

    def loss_at(self, epoch, epochs):
        return Divergence(squared=False) if epoch == 0 else None

    def temperature_at(self, epoch, epochs):
        return 4.0 - epoch


def test_a_mixed_picture_is_learned_by_the_classes_of_both():
    found = Course(LABELS, 1, 0, None).targets(MIXED, BATCH, 0)
    mine, others = (F.cross_entropy(LOGITS, LABELS[which], reduction="none") for which in (BATCH, PARTNERS))
    wanted = (0.75 * mine[0] + 0.25 * others[0] + 0.5 * mine[1] + 0.5 * others[1]) / 2
    torch.testing.assert_close(PLAIN(LOGITS, found), wanted)


def test_a_mixed_picture_counts_by_the_weights_of_both():
    weight = torch.tensor([1.0, 2.0, 3.0, 5.0])
    found = Course(LABELS, 1, 0, None, weight=weight).targets(MIXED, BATCH, 0)
    assert found.weight is not None and found.weight.tolist() == [0.75 * 5 + 0.25 * 3, 0.5 * 1 + 0.5 * 2]
    alone = Course(LABELS, 1, 0, None, weight=weight).targets(Shown(MIXED.pixels), BATCH, 0)
    each = F.cross_entropy(LOGITS, LABELS[BATCH], reduction="none")
    torch.testing.assert_close(PLAIN(LOGITS, alone), (5 * each[0] + each[1]) / 6)


def test_labels_of_pictures_are_mixed_and_labels_of_views_are_not():
    of_pictures, of_views = Soft(), Soft(views="some")
    found = Course(LABELS, 3, 7, None, soft=of_pictures).targets(MIXED, BATCH, 1)
    assert of_pictures.asked == [([3, 0], 17), ([2, 1], 17)] and found.partners is not None and found.share is SHARE
    found = Course(LABELS, 3, 7, None, soft=of_views).targets(MIXED, BATCH, 1)
    assert of_views.asked == [([3, 0], 17)] and found.partners is None and found.share is None


def test_an_epoch_has_the_loss_and_the_temperature_of_its_labels():
    own = Divergence()
    course = Course(LABELS, 2, 0, None, own, smoothing=0.1, soft=Soft())
    assert course.criterion(0) == Criterion(Divergence(squared=False), 4.0, 0.1)
    assert course.criterion(1) == Criterion(own, 3.0, 0.1)
    found = course.targets(Shown(MIXED.pixels), BATCH, 1)
    assert found.log_probs is not None
    torch.testing.assert_close(course.criterion(1)(LOGITS, found), divergence(LOGITS, found.log_probs, 3.0).mean())


def test_classes_are_smoothed_as_the_training_says():
    course = Course(LABELS, 1, 0, None, smoothing=0.3)
    wanted = F.cross_entropy(LOGITS, LABELS[BATCH], label_smoothing=0.3)
    torch.testing.assert_close(course.criterion(0)(LOGITS, Targets(LABELS[BATCH])), wanted)
