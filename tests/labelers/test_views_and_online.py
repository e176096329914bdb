"""Labels of views: what is stored is what teachers would say, whatever the batch, and it survives the disk and a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.images import Subset
from gendistill.labelers import ensemble, online, relabel_views, stored
from gendistill.labelers.codecs.floats import Half, Single
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.online import Online, OnlineLabels
from gendistill.labelers.relabel_views import RelabelViews, ViewLabels
from gendistill.learning.training import Training, train
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.timm_classifier import TimmClassifier
from gendistill.nets.trained import shape_of
from gendistill.toys import toy_context
from gendistill.views.cutmix import CutMix
from gendistill.views.numbered import Views
from tests.nets.tiny_classifiers import timm_folder
from tests.parts_under_test import TEACHER

VIEWS = Views(seed=3)
BN = replace(TEACHER, net=ConvNet(depth=2, width=8, norm="batch"))


def labels_of(kind, tmp_path, teacher=TEACHER, **more):
    context = toy_context(tmp_path)
    labeler = kind((teacher,), "logits", views=VIEWS, **more)
    return labeler(context.real.train, context), context


def test_what_is_stored_is_what_teachers_say(tmp_path):
    kept, context = labels_of(RelabelViews, tmp_path, count=3, codec=Single())
    asked, _ = labels_of(Online, tmp_path)
    everything = torch.arange(len(context.real.train))
    for view in range(3):
        torch.testing.assert_close(kept.at(everything, view), asked.at(everything, view))
    assert not torch.allclose(kept.at(everything, 0), kept.at(everything, 1))


def test_teachers_that_see_otherwise_are_others(tmp_path, monkeypatch):
    # Of two networks with the same weights, which differ in the size that pictures are brought to.
    context, folder = toy_context(tmp_path / "store"), timm_folder(tmp_path / "net")
    load = TimmClassifier.load
    monkeypatch.setattr(TimmClassifier, "load", lambda *rest: pytest.fail("a teacher was loaded for its name"))
    small, large = (
        Online((TimmClassifier(folder, size=size),), "logits", views=VIEWS)(context.real.train, context)
        for size in (16, 32)
    )
    assert small.fingerprint != large.fingerprint
    monkeypatch.setattr(TimmClassifier, "load", load)
    monkeypatch.setattr(online, "check_teacher", lambda *given: None)  # its weights are drawn: it guesses
    every = torch.arange(4)
    assert not torch.allclose(small.at(every), large.at(every))


def test_any_batch_replays_them(tmp_path):
    asked, context = labels_of(Online, tmp_path)
    everything = torch.arange(len(context.real.train))
    some = torch.tensor([5, 0, 3])
    torch.testing.assert_close(asked.at(some, 2), asked.at(everything, 2)[some])


def test_a_student_of_stored_views_is_one_of_online_teachers(tmp_path, monkeypatch):
    losses = []
    monkeypatch.setattr(OnlineLabels, "view", lambda self, epoch, epochs, first=0: (first + epoch) % 2)
    for kind, more in ((RelabelViews, {"count": 2, "codec": Single()}), (Online, {})):
        soft, context = labels_of(kind, tmp_path, **more)
        net = build(ConvNet(depth=2, width=8), shape_of(context), 0, context.device)
        settings = Training(epochs=2, batch=3, augment=None)
        losses.append(train(net, context.real.train, settings, 0, context.device, soft=soft).head.weight)
    torch.testing.assert_close(losses[0], losses[1])


def test_who_has_the_view_at_hand_need_not_make_it_again(tmp_path, monkeypatch):
    asked, context = labels_of(Online, tmp_path)
    positions, images = torch.tensor([5, 0, 3]), context.real.train
    pixels, wanted = VIEWS.look(images.pixels, positions, 2, len(images)).pixels, asked.at(positions, 2)
    monkeypatch.setattr(Views, "look", lambda *given: pytest.fail("the view was made again"))
    assert torch.equal(asked.seen(pixels, positions, 2), wanted)


def test_a_student_goes_round_the_views_there_are(tmp_path):
    soft, _ = labels_of(RelabelViews, tmp_path, count=2, cooling=Cooling(by=0.5, every=2, least=1.5), temperature=4.0)
    assert [soft.view(epoch, 5) for epoch in range(5)] == [0, 1, 0, 1, 0]
    assert [soft.view(epoch, 5, first=7) for epoch in range(5)] == [1, 0, 1, 0, 1]
    assert [soft.temperature_at(epoch, 100) for epoch in (0, 1, 2, 4, 99)] == [4.0, 4.0, 2.0, 1.5, 1.5]


def test_bytes_are_those_of_the_numbers(tmp_path):
    soft, context = labels_of(RelabelViews, tmp_path, count=4, codec=Half())
    assert soft.bytes == 4 * len(context.real.train) * len(context.real.classes) * 2


def test_they_survive_the_disk(tmp_path):
    soft, context = labels_of(RelabelViews, tmp_path, count=3, cooling=Cooling())
    told = soft.save(tmp_path / "set")
    again = stored.read(tmp_path / "set", told, context.real.train)
    positions = torch.tensor([4, 1])
    torch.testing.assert_close(again.at(positions, 2), soft.at(positions, 2))
    assert (again.views, again.temperature_at(99, 100), again.count) == (soft.views, soft.temperature_at(99, 100), 3)


def test_a_killed_relabelling_makes_no_shard_twice(tmp_path, asked):
    said, kill = asked
    kill.append(2)
    with pytest.raises(KeyboardInterrupt):
        labels_of(RelabelViews, tmp_path, count=4)
    assert said == [0, 1]
    soft, _ = labels_of(RelabelViews, tmp_path, count=4)
    assert said == [0, 1, 2, 3] and isinstance(soft, ViewLabels) and soft.count == 4


@pytest.mark.parametrize("more", [{}, {"batch_statistics": 8}], ids=["alone", "by batch"])
def test_labels_are_the_same_however_many_views_are_made_at_once(tmp_path, monkeypatch, made, more):
    found, count = [], len(toy_context(tmp_path).real.train)
    for sets in (0.5, 2.5, 9):
        monkeypatch.setattr(relabel_views, "MADE_PIXELS", int(sets * count * 8 * 8))
        made.append("then")
        soft, _ = labels_of(RelabelViews, tmp_path / str(sets), teacher=BN, count=5, codec=Single(), **more)
        found.append(torch.stack([soft.at(torch.arange(count), view) for view in range(5)]))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    each = 5 if more else 1  # blocks of a view
    assert made == ["then", *[1] * 5 * each, "then", 2 * each, 2 * each, *[1] * each, "then", 5 * each]


def test_the_views_of_a_single_picture_are_made_alone(tmp_path, made):
    context = toy_context(tmp_path)
    labeler = RelabelViews((TEACHER,), "logits", count=3)
    labeler(Subset(context.real.train, torch.tensor([4])), context)
    assert made == [1, 1, 1]


def test_a_gpu_is_shown_as_many_pictures_as_it_takes(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    monkeypatch.setattr(ensemble, "passing", lambda shape, device: {"cpu": 10, "cuda": 20}[device.type])
    asked = [
        len(RelabelViews((TEACHER,), "logits").blocks(context.real.train, torch.device(name)))
        for name in ("cpu", "cuda")
    ]
    assert asked == [4, 2]


class Step:
    """One step on the whole set, without momentum or decay: the head's bias moves by 0.1 times the gradient of the loss."""

    def __init__(self, tmp_path, seed):
        self.context, self.seed = toy_context(tmp_path), seed
        self.images, self.views = self.context.real.train, Views((), CutMix())
        self.net = build(ConvNet(depth=2, width=8), shape_of(self.context), 0, self.context.device)
        every, first = torch.arange(len(self.images)), seeds.number(seed, "views") >> 20
        self.look = self.views.look(lambda positions: self.images.pixels(positions), every, first, len(self.images))
        self.before = self.net.head.bias.detach().clone()
        self.each = torch.stack(
            [F.cross_entropy(self.net(self.look.pixels), one, reduction="none") for one in
             (self.images.labels, self.images.labels[self.look.partners])]
        )  # fmt: skip

    def moves_by(self, loss, **more):
        (gradient,) = torch.autograd.grad(loss, self.net.head.bias)
        settings = Training(
            epochs=1, batch=len(self.images), lr=0.1, momentum=0.0, weight_decay=0.0, augment=self.views
        )
        train(self.net, self.images, settings, self.seed, self.context.device, **more)
        torch.testing.assert_close(self.net.head.bias.detach(), self.before - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_hard_labels_of_mixed_pictures_are_mixed(tmp_path):
    step = Step(tmp_path, 0)
    share = step.look.share
    step.moves_by((share * step.each[0] + (1 - share) * step.each[1]).mean())


def test_a_mixed_picture_counts_as_much_as_both_of_its_parts(tmp_path):
    step = Step(tmp_path, 1)
    share, weight = step.look.share, torch.linspace(0.2, 1.8, len(step.images))
    counts = share * weight + (1 - share) * weight[step.look.partners]
    each = share * step.each[0] + (1 - share) * step.each[1]
    step.moves_by((counts * each).sum() / counts.sum(), weight=weight)


def test_networks_of_other_seeds_see_other_views(tmp_path):
    one, two = (Step(tmp_path, seed).look.pixels for seed in (0, 1))
    assert not torch.equal(one, two)
