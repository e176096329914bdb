"""An expert is its training, stopped earlier: a teacher like any other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets import trained
from gendistill.nets.expert import Expert
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

WHOLE = replace(TEACHER, training=Training(epochs=12, batch=12, lr=0.05, augment=None))


def test_the_last_epoch_is_the_trained_network_and_earlier_ones_are_softer(tmp_path):
    context = toy_context(tmp_path)
    pixels = context.real.train.pixels(range(len(context.real.train)))
    with torch.no_grad():
        last, *earlier = (trained.load(Expert(WHOLE, epoch), context)(pixels).log_softmax(1) for epoch in (12, 4, 1))
        torch.testing.assert_close(trained.load(WHOLE, context)(pixels).log_softmax(1), last)
    entropies = [float(-(said.exp() * said).sum(1).mean()) for said in (last, *earlier)]
    assert entropies == sorted(entropies) and entropies[0] < entropies[1] - 0.05


def test_every_ensemble_may_hold_it(tmp_path):
    context = toy_context(tmp_path)
    labeler = Relabel((Expert(WHOLE, 2), WHOLE), "logits")
    labeler.check(context.real)
    said = labeler(context.real.train, context).at(torch.arange(3))
    each = [trained.load(one, context)(context.real.train.pixels(range(3))) for one in labeler.teachers]
    torch.testing.assert_close(said, torch.stack(each).mean(0).log_softmax(1))
    names = [row["name"] for row in labeler.origins("cc0-1.0")]
    assert names == [f"{WHOLE.net}, 12 epochs, seed 0, trained here{then}" for then in (", as it was after 2", "")]


def test_an_epoch_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UserError, match="ends after 12"):
        trained.load(Expert(WHOLE, 13), replace(toy_context(tmp_path), dry=True))
    with pytest.raises(UserError, match="0 or more"):
        Expert(WHOLE, -1)
    with pytest.raises((UserError, TypeError), match="Trained"):
        Expert(Expert(WHOLE))  # pyright: ignore[reportArgumentType]


def test_a_plan_counts_the_training_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "train", lambda *args, **kwargs: pytest.fail("trained"))
    context = replace(toy_context(tmp_path), dry=True)
    trained.load(Expert(WHOLE, 3), context)
    (work,) = trained.work(Expert(WHOLE, 3), context)
    assert work.what == "teacher" and work.calls == 36 and not list(tmp_path.rglob("*.safetensors"))
