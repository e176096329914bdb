"""Every labeler keeps the contract, and the ensemble averages what it says."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F

from gendistill.labelers import stored
from gendistill.labelers.alternate import Alternate
from gendistill.labelers.base import Labeler
from gendistill.labelers.ensemble import Committee, blockwise
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import Relabel, StaticLabels
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.testing import check_labeler
from gendistill.toys import ToyData, toy_context
from gendistill.types import Diverged, UserError
from tests.parts_under_test import TEACHER, example, subclasses


@pytest.mark.parametrize("part", subclasses(Labeler), ids=lambda part: part.__name__)
def test_keeps_the_contract(part, tmp_path):
    check_labeler(example(part), toy_context(tmp_path))


@dataclass(frozen=True)
class Forgetful(Alternate):
    """Alternating labels that are written without what makes them alternate."""

    labeler: Labeler = field(default_factory=lambda: Relabel((TEACHER,), "logits"))

    def __call__(self, images, context):
        soft = super().__call__(images, context)
        soft.save = soft.soft.save
        return soft


@dataclass(frozen=True)
class Restless(Relabel):
    """Labels that are others whenever they are made."""

    def __call__(self, images, context):
        torch.manual_seed(0 if torch.initial_seed() else 1)
        return StaticLabels.of(torch.randn(len(images), len(images.classes)).log_softmax(1), 1.0)


def test_the_contract_sees_labels_that_do_not_come_back(tmp_path):
    with pytest.raises(AssertionError, match="what was read again"):
        check_labeler(Forgetful(), toy_context(tmp_path))
    with torch.random.fork_rng(), pytest.raises(AssertionError, match="the same labeler"):
        check_labeler(Restless((TEACHER,), "logits"), toy_context(tmp_path))


def test_labels_of_earlier_sets_are_read_by_what_they_tell(tmp_path):
    context = toy_context(tmp_path)
    images, new = context.real.train, {"kind", "count", "files"}
    for labeler in (Hard(), Relabel((TEACHER,), "logits"), RelabelViews((TEACHER,), "logits", count=2)):
        soft = labeler(images, context)
        place = tmp_path / soft.kind
        told = {name: value for name, value in soft.save(place).items() if name not in new}
        assert stored.read(place, told, images).fingerprint == soft.fingerprint
        shutil.rmtree(place, ignore_errors=True)
        if soft.kind != "hard":
            with pytest.raises(UserError, match="missing"):
                stored.read(place, told, images)
    with pytest.raises(UserError, match="'spoken'"):
        stored.read(tmp_path, {"kind": "spoken"}, images)


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


def test_answers_that_are_no_numbers_are_told_before_they_are_kept():
    images = ToyData().open().train
    broken = Committee(
        [build(ConvNet(depth=2, width=8), Shape(1, 8, 3, (0.5,), (0.2,)), 0, torch.device("cpu"))], "logits"
    )
    torch.nn.init.constant_(broken.nets[0].head.bias, math.nan)
    with pytest.raises(Diverged, match="hold NaN for 36 of 36 pictures"):
        blocks = torch.arange(len(images)).split(10)
        blockwise(images, (broken(images.pixels(block)) for block in blocks), blocks)
