"""Labels of views: what is stored is what teachers would say, whatever the batch, and it survives the disk and a kill."""

from __future__ import annotations

import pytest
import torch

from gendistill.labelers import stored
from gendistill.labelers.codecs.floats import Half, Single
from gendistill.labelers.online import Online
from gendistill.labelers.relabel_views import RelabelViews, ViewLabels
from gendistill.labelers.temperature import Cooling
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.testing import toy_context
from gendistill.training import Training, train
from gendistill.views.cutmix import CutMix
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

VIEWS = Views(seed=3)


def labels_of(kind, tmp_path, **more):
    context = toy_context(tmp_path)
    labeler = kind((TEACHER,), "logits", views=VIEWS, **more)
    return labeler(context.real.train, context), context


def test_what_is_stored_is_what_teachers_say(tmp_path):
    kept, context = labels_of(RelabelViews, tmp_path, count=3, codec=Single())
    asked, _ = labels_of(Online, tmp_path)
    everything = torch.arange(len(context.real.train))
    for view in range(3):
        torch.testing.assert_close(kept.at(everything, view), asked.at(everything, view))
    assert not torch.allclose(kept.at(everything, 0), kept.at(everything, 1))


def test_any_batch_replays_them(tmp_path):
    asked, context = labels_of(Online, tmp_path)
    everything = torch.arange(len(context.real.train))
    some = torch.tensor([5, 0, 3])
    torch.testing.assert_close(asked.at(some, 2), asked.at(everything, 2)[some])


def test_a_student_of_stored_views_is_one_of_online_teachers(tmp_path):
    losses = []
    for kind, more in ((RelabelViews, {"count": 2, "codec": Single()}), (Online, {})):
        soft, context = labels_of(kind, tmp_path, **more)
        net = build(ConvNet(depth=2, width=8), shape_of(context), 0, context.device)
        settings = Training(epochs=2, batch=3, augment=None)
        losses.append(train(net, context.real.train, settings, 0, context.device, soft=soft).head.weight)
    torch.testing.assert_close(losses[0], losses[1])


def test_a_student_goes_round_the_views_there_are(tmp_path):
    soft, _ = labels_of(RelabelViews, tmp_path, count=2, cooling=Cooling(by=0.5, every=2, least=1.5), temperature=4.0)
    assert [soft.view(epoch) for epoch in range(5)] == [0, 1, 0, 1, 0]
    assert [soft.temperature_at(epoch) for epoch in (0, 1, 2, 4, 99)] == [4.0, 4.0, 2.0, 1.5, 1.5]


def test_bytes_are_those_of_the_numbers(tmp_path):
    soft, context = labels_of(RelabelViews, tmp_path, count=4, codec=Half())
    assert soft.bytes == 4 * len(context.real.train) * len(context.real.classes) * 2


def test_they_survive_the_disk(tmp_path):
    soft, context = labels_of(RelabelViews, tmp_path, count=3, cooling=Cooling())
    told = soft.save(tmp_path / "set")
    again = stored.read(tmp_path / "set", told, context.real.train)
    positions = torch.tensor([4, 1])
    torch.testing.assert_close(again.at(positions, 2), soft.at(positions, 2))
    assert (again.views, again.temperature_at(99), again.count) == (soft.views, soft.temperature_at(99), 3)


def test_a_killed_relabelling_makes_no_shard_twice(tmp_path, monkeypatch):
    from gendistill.labelers import relabel_views

    monkeypatch.setattr(relabel_views, "SHARD_BYTES", 1)
    said, real = [], RelabelViews._said

    def once(self, view, *rest):
        said.append(view)
        if len(said) == 3:
            raise KeyboardInterrupt
        return real(self, view, *rest)

    monkeypatch.setattr(RelabelViews, "_said", once)
    with pytest.raises(KeyboardInterrupt):
        labels_of(RelabelViews, tmp_path, count=4)
    soft, _ = labels_of(RelabelViews, tmp_path, count=4)
    assert said == [0, 1, 2, 2, 3] and isinstance(soft, ViewLabels) and soft.count == 4


def test_hard_labels_of_mixed_pictures_are_mixed(tmp_path):
    # A batch that is the whole set, one step: the loss that CutMix asks for is that of both classes by their shares of the area.
    context = toy_context(tmp_path)
    images, views = context.real.train, Views((), CutMix())
    net = build(ConvNet(depth=2, width=8), shape_of(context), 0, context.device)
    everything = torch.arange(len(images))
    look = views.look(lambda positions: images.pixels(positions), everything, 0, len(images))
    target = look.share.unsqueeze(1) * torch.nn.functional.one_hot(images.labels)
    target = target + (1 - look.share).unsqueeze(1) * torch.nn.functional.one_hot(images.labels[look.partners])
    loss = torch.nn.functional.cross_entropy(net(look.pixels), target)
    (gradient,) = torch.autograd.grad(loss, net.head.bias)
    before = net.head.bias.detach().clone()
    settings = Training(epochs=1, batch=len(images), lr=0.1, momentum=0.0, weight_decay=0.0, augment=views)
    train(net, images, settings, 0, context.device)
    torch.testing.assert_close(net.head.bias.detach(), before - 0.1 * gradient, rtol=1e-4, atol=1e-6)
