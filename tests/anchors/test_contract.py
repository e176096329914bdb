"""Every choice of anchors that is found in the folder keeps the contract."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.anchors.base import Anchors
from gendistill.priors.base import lacks
from gendistill.priors.pixels import LoadedPixels, Pixels
from gendistill.steering.start import Start
from gendistill.toys import ToyPrior, toy_context
from gendistill.types import UserError
from tests.parts_under_test import example, subclasses

ANCHORS = pytest.mark.parametrize("part", subclasses(Anchors), ids=lambda part: part.__name__)


@ANCHORS
def test_every_slot_gets_the_same_finite_point_whatever_else_is_asked_for(part, tmp_path):
    anchors, context = example(part), toy_context(tmp_path / "one", ipc=4)
    found = anchors.find(context, 1, torch.arange(4))
    assert found.shape == (4, *context.prior.latent_shape) and found.dtype == torch.float32
    assert found.device.type == "cpu" and bool(torch.isfinite(found).all())
    assert torch.equal(anchors.find(context, 1, torch.tensor([3, 1])), found[[3, 1]]), "slots are not honoured"
    assert torch.equal(anchors.find(toy_context(tmp_path / "two", ipc=4), 1, torch.arange(4)), found), "not repeatable"
    assert not torch.equal(anchors.find(context, 0, torch.arange(4)), found), "classes share their points"
    assert float(anchors.level(context).time) < 1 and anchors.noisy == (float(anchors.level(context).time) > 0)


@ANCHORS
def test_a_class_with_fewer_pictures_than_slots_works_or_is_refused(part, tmp_path):
    anchors, context = example(part), toy_context(tmp_path, ipc=20)
    try:
        anchors.check(context.real, 20)
    except UserError as error:
        assert "class 0" in str(error)
    else:
        assert anchors.find(context, 0, torch.arange(20)).shape[0] == 20


@ANCHORS
def test_slots_beyond_ipc_fill_a_block(part, tmp_path):
    assert len(example(part).find(toy_context(tmp_path, ipc=2), 0, torch.arange(5))) == 5


@ANCHORS
def test_planning_finds_nothing_and_every_piece_of_work_can_be_timed(part, tmp_path, monkeypatch):
    anchors, context = example(part), replace(toy_context(tmp_path), dry=True)
    for work in anchors.work(context):
        assert work.calls >= 0 and work.rows >= 1, f"{work} makes no sense"
        work.once()
    assert len(anchors.find(context, 0, torch.arange(2))) == 2
    assert not list(tmp_path.iterdir()), "planning left something on disk"


@ANCHORS
def test_needs_are_complete(part, tmp_path):
    anchors, context = example(part), toy_context(tmp_path)
    assert not lacks(ToyPrior, anchors.needs) and Start(anchors=anchors).needs == anchors.needs
    if not lacks(LoadedPixels, anchors.needs):
        prior = Pixels().load(context.real, context.device, context.dtype)
        found = anchors.find(replace(context, prior=prior), 0, torch.arange(2))
        assert found.shape == (2, *context.real.train.shape)
