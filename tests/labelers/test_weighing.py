"""Teachers that are right more often count more, and overconfident ones are softened, by pictures they did not see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gendistill.labelers.relabel import Relabel
from gendistill.labelers.weighing import ByAccuracy, Calibrated, accuracy
from gendistill.nets.loaded import Loaded
from gendistill.toys import ToyData, toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER


class Knowing(torch.nn.Module):
    """Reads the class off the brightness of toy pictures, less surely the larger ``noise``; ``sure`` scales its logits."""

    def __init__(self, images, right, sure=1.0):
        super().__init__()
        self.register_buffer("pictures", images.pixels(torch.arange(len(images))).flatten(1))
        answers = images.labels.clone()
        wrong = torch.arange(len(answers)) % 10 >= right
        answers[wrong] = (answers[wrong] + 1) % len(images.classes)
        self.register_buffer("logits", sure * F.one_hot(answers, len(images.classes)).float())

    def forward(self, pixels):
        nearest = torch.cdist(pixels.flatten(1), self.pictures).argmin(1)
        return self.logits[nearest]


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, data=ToyData(classes=3, per_class=40))


def test_weights_by_accuracy_by_hand(context):
    good, poor = (Loaded(Knowing(context.real.train, right), saw="no toy") for right in (9, 7))
    shares = [accuracy(one, context) for one in (good, poor)]
    found = ByAccuracy(scale=10).find((good, poor), context)
    torch.testing.assert_close(found, (torch.tensor(shares) / 10).softmax(0))
    assert found[0] > found[1]


def test_a_calibrated_teacher_is_as_sure_as_it_is_right(context):
    # Right 9 times in 10 of 3 classes: probability p of its answer is calibrated at p = accuracy, whatever size its logits have.
    temperatures = Calibrated().find(
        tuple(Loaded(Knowing(context.real.train, 9, sure), saw="no toy") for sure in (5.0, 50.0)), context
    )
    torch.testing.assert_close(temperatures[1] / temperatures[0], torch.tensor(10.0), rtol=1e-3, atol=0)


def test_the_mean_is_weighted_and_softened(context):
    images = context.real.train
    nets = tuple(Knowing(images, right, sure) for right, sure in ((9, 4.0), (5, 2.0)))
    every = torch.arange(len(images))
    z = [net(images.pixels(every)) for net in nets]
    for average, wanted in (
        ("logits", (0.75 * z[0] / 2 + 0.25 * z[1] / 4).log_softmax(1)),
        ("probs", (0.75 * (z[0] / 2).softmax(1) + 0.25 * (z[1] / 4).softmax(1)).log()),
    ):
        labeler = Relabel(nets, average, weights=(3.0, 1.0), softening=(2.0, 4.0))
        torch.testing.assert_close(labeler(images, context).at(every), wanted)


def test_a_teacher_that_saw_every_picture_cannot_be_weighed(context):
    with pytest.raises(UserError, match="held_out=0.1"):
        Relabel((TEACHER, TEACHER), "logits", weights=ByAccuracy())(context.real.train, context)
    Relabel((replace(TEACHER, held_out=0.2),) * 2, "logits", weights=ByAccuracy())(context.real.train, context)


def test_a_teacher_never_sees_what_it_held_out(context):
    from gendistill.nets.trained import seen

    held = replace(TEACHER, held_out=0.25)
    kept, out = seen(held, context), held.unseen(context)
    assert len(out) == 30 and len(kept) == 90
    every = {tuple(one.flatten().tolist()) for one in kept.stored(torch.arange(90))}
    assert not any(tuple(one.flatten().tolist()) in every for one in out.stored(torch.arange(30)))


def test_numbers_must_fit_the_teachers():
    with pytest.raises(UserError, match="each of 1 teachers"):
        Relabel((TEACHER,), "logits", weights=(1.0, 2.0))
    with pytest.raises(UserError, match="above 0"):
        Relabel((TEACHER,), "logits", softening=(0.0,))
