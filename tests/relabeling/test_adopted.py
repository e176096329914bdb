"""A set of others becomes one that can be labelled anew; what nobody knows of it stays unknown."""

from __future__ import annotations

import pytest
import torch

from gendistill.context import silent
from gendistill.data.digits import Digits
from gendistill.evaluation.protocols import Protocol
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.relabeling import relabel as relabeling
from gendistill.relabeling.adopted import sets_at
from gendistill.relabeling.relabel import relabel
from gendistill.running.load import load
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

CPU, REAL = torch.device("cpu"), Digits(size=8)
PROTOCOL = Protocol(name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=2, batch=8), students=1,
                    full=Training(epochs=1))  # fmt: skip


@pytest.fixture
def theirs(tmp_path):
    """A .pt file of a digit of each class, the last class first."""
    train = REAL.open().train
    positions = torch.tensor([int(train.where(index)[0]) for index in reversed(range(10))])
    torch.save((train.pixels(positions, CPU), train.labels[positions]), tmp_path / "theirs.pt")
    return tmp_path / "theirs.pt", train.stored(positions), train.labels[positions]


def test_pictures_and_classes_are_theirs_and_nothing_else_is_said(theirs):
    path, pictures, labels = theirs
    (folder,) = sets_at(path, REAL, CPU, silent)
    made = load(folder)
    assert torch.equal(made.images.stored(range(10)), pictures) and torch.equal(made.labels, labels)
    assert made.recipe is None and made.soft.kind == "hard" and not made.origin
    assert sets_at(path, REAL, CPU, silent) == [folder]  # written once


def test_it_is_labelled_anew(theirs, tmp_path, monkeypatch):
    path, pictures, _ = theirs
    monkeypatch.setattr(relabeling, "published", lambda *rest: [])  # nor hard labels, which might be worth more
    teachers = Relabel((TEACHER,), "logits", temperature=4.0)
    made = load(relabel(path, tmp_path / "out", 10**4, real=REAL, labeler=teachers, protocol=PROTOCOL).folder)
    assert torch.equal(made.images.stored(range(10)), pictures)
    assert made.soft.kind in ("soft", "views") and made.origin["teachers"] and made.recipe is None


def test_without_real_data_or_a_finished_set_there_is_nothing_to_label(theirs, tmp_path):
    with pytest.raises(UserError, match="no finished set.*together with the real data"):
        sets_at(theirs[0], None, CPU, silent)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="no finished set"):
        sets_at(tmp_path, REAL, CPU, silent)
