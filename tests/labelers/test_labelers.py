"""Every labeler keeps the contract, and the ensemble averages what it says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill.labelers.base import Labeler
from gendistill.labelers.relabel import Relabel
from gendistill.testing import check_labeler, toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER, example, subclasses


@pytest.mark.parametrize("part", subclasses(Labeler), ids=lambda part: part.__name__)
def test_keeps_the_contract(part, tmp_path):
    check_labeler(example(part), toy_context(tmp_path))


class Fixed(torch.nn.Module):
    """Answers every picture with the same logits."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, pixels):
        return self.logits.expand(len(pixels), -1)


def test_averages_of_logits_and_of_probabilities_differ(tmp_path):
    context, pair = toy_context(tmp_path), [[0.0, 2.0, 4.0], [6.0, 0.0, 0.0]]
    teachers = tuple(Fixed(logits) for logits in pair)
    images, z = context.real.train, torch.tensor(pair)
    for average, wanted in (("logits", F.log_softmax(z.mean(0), 0)), ("probs", F.softmax(z, 1).mean(0).log())):
        found = Relabel(teachers, average)(images, context).at(torch.tensor([0]))[0]
        torch.testing.assert_close(found, wanted)


def test_there_is_no_silent_choice_of_average():
    with pytest.raises(TypeError):
        Relabel((TEACHER,))
    with pytest.raises((UserError, TypeError), match="logits"):
        Relabel((TEACHER,), average="mean")


def test_a_teacher_with_other_classes_is_refused(tmp_path):
    context = toy_context(tmp_path)
    with pytest.raises(UserError, match="3 classes"):
        Relabel((Fixed([0.0, 1.0]),), "logits")(context.real.train, context)
