"""Teachers in training mode: by the statistics of a batch that is always the same, and learning nothing from it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from gendistill.labelers.batch_statistics import batches
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets import trained
from gendistill.nets.convnet import ConvNet
from gendistill.toys import toy_context
from gendistill.types import UserError
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

BN = replace(TEACHER, net=ConvNet(depth=2, width=8, norm="batch"))


def test_batches_are_all_of_one_size_and_follow_from_seed_and_view():
    found = batches(10, 4, 0, 3)
    assert [len(batch) for batch in found] == [4, 4, 4] and torch.cat(found).unique().tolist() == list(range(10))
    assert torch.equal(torch.cat(found)[10:], found[0][:2]), "the last batch is filled up with those of the first"
    assert all(torch.equal(a, b) for a, b in zip(found, batches(10, 4, 0, 3), strict=True))
    assert not torch.equal(found[0], batches(10, 4, 0, 4)[0]) and not torch.equal(found[0], batches(10, 4, 1, 3)[0])
    assert [len(batch) for batch in batches(3, 16, 0, 0)] == [3]


def test_labels_are_those_of_training_mode(tmp_path):
    context = toy_context(tmp_path)
    images, views = context.real.train, Views(seed=2)
    soft = RelabelViews((BN,), "logits", batch_statistics=8, views=views, count=2, codec=Single())(images, context)
    net = deepcopy(trained.load(BN, context)).train()
    for view in range(2):
        for batch in batches(len(images), 8, views.seed, view)[:-1]:
            with torch.no_grad():
                wanted = net(views.look(images.pixels, batch, view, len(images)).pixels).log_softmax(1)
            torch.testing.assert_close(soft.at(batch, view), wanted, rtol=1e-4, atol=1e-5)
    plain = RelabelViews((BN,), "logits", views=views, count=2, codec=Single())(images, context)
    assert not torch.allclose(plain.at(torch.arange(36)), soft.at(torch.arange(36)), atol=1e-3)


def test_teachers_stay_as_they_are(tmp_path):
    context = toy_context(tmp_path)
    labeler = Relabel((BN,), "probs", batch_statistics=6)
    committee = labeler.committee(context)
    before = deepcopy(committee.nets[0].state_dict())
    first = committee(context.real.train.pixels(range(6)))
    assert all(torch.equal(before[name], tensor) for name, tensor in committee.nets[0].state_dict().items())
    assert not any(module.training for module in committee.nets[0].modules())
    assert torch.equal(first, committee(context.real.train.pixels(range(6))))
    assert not torch.allclose(first[:3], committee(context.real.train.pixels(range(3))), atol=1e-4)


def test_teachers_without_batch_norm_are_refused_before_any_is_trained(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    monkeypatch.setattr(trained, "train", lambda *a, **k: pytest.fail("a teacher was trained"))
    other = replace(BN, seed=99), replace(TEACHER, seed=99)
    with pytest.raises(UserError, match="batch norm, which Classifier has not"):
        Relabel(other, "logits", batch_statistics=4)(context.real.train, context)


def test_batches_that_have_no_statistics_are_refused():
    with pytest.raises(UserError, match="at least 2"):
        Relabel((BN,), "logits", batch_statistics=1)
    with pytest.raises(UserError, match="whatever batch"):
        Online((BN,), "logits", batch_statistics=4)
