"""The ridge classifier by hand, and its gradient beside that of a literal solve."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.labelers.learned import real_batches
from gendistill.labelers.ridge_labels import RidgeLabels, ridge_answer, seen
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh, Networks
from gendistill.toys import toy_context
from gendistill.types import Diverged, UserError

NET = ConvNet(depth=2, width=8)


def published(features, labels, ridge, asked):
    """W = (F'F + lambda I)^-1 F'Y, written literally, of features with a constant."""
    known, new = (torch.cat([one.double(), torch.ones(len(one), 1).double()], 1) for one in (features, asked))
    penalty = ridge * known.pow(2).sum(1).mean() * torch.eye(known.shape[1]).double()
    return new @ torch.linalg.solve(known.T @ known + penalty, known.T @ labels.double())


def test_by_hand():
    # F = [[1, 1], [0, 1]] with the constant; a mean square of 3/2 makes lambda 1, and (FF' + I)^-1 = [[2, -1], [-1, 3]] / 5.
    # A picture of feature 2 has (2, 1) F' = (3, 1), and so looks at the first label alone.
    answer = ridge_answer(torch.tensor([[1.0], [0.0]]), ridge=2 / 3)
    torch.testing.assert_close(answer(torch.tensor([[2.0]])), torch.tensor([[1.0, 0.0]]).double())


@pytest.mark.parametrize("count", [4, 20], ids=["fewer pictures", "fewer features"])
def test_both_inverses_are_the_published_classifier(count):
    stream = seeds.stream("ridge")
    features, asked = torch.randn(count, 8, generator=stream), torch.randn(5, 8, generator=stream)
    labels = torch.rand(count, 3, generator=stream).double()
    torch.testing.assert_close(ridge_answer(features, 0.01)(asked) @ labels, published(features, labels, 0.01, asked))


@pytest.mark.parametrize("loss", ["cross-entropy", "squared error"])
def test_the_gradient_is_that_of_a_literal_solve(loss, tmp_path):
    context = toy_context(tmp_path)
    images = context.real.train
    settings = RidgeLabels(
        networks=Fresh(NET), every=2, batch=9, loss=loss, augment=None
    )  # pictures pass in four blocks
    logits = torch.randn(len(images), 3, generator=seeds.stream("logits"))
    mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
    settings.bind(images, context)(mine.log_softmax(1), 3).backward()

    (net,) = Fresh(NET).draw(context, context.seed, "ridge labels", context.place, 1)
    pixels, labels = real_batches(9, context)(3)
    features = seen(net, images.pixels(range(len(images))))
    answers = published(features, theirs.softmax(1), settings.ridge, seen(net, pixels))
    one_hot = F.one_hot(labels, 3)
    found = {
        "cross-entropy": -(one_hot * (settings.scale * answers).log_softmax(1)).sum() / len(labels),
        "squared error": (answers - one_hot).pow(2).sum() / len(labels),
    }[loss]
    found.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-7, rtol=1e-4)


@dataclass(frozen=True)
class Counted(Networks):
    """Networks that tell which were drawn."""

    drawn: list = field(default_factory=list)

    def draw(self, context, *key):
        self.drawn.append(key[-1])
        return Fresh(NET).draw(context, *key)


def test_networks_serve_as_many_steps_as_they_should(tmp_path):
    context, networks = toy_context(tmp_path), Counted()
    RidgeLabels(networks=networks, steps=7, every=3, batch=12)(context.real.train, context)
    assert networks.drawn == [0, 1, 2]


def test_batch_normalisation_sees_mixed_pictures(tmp_path):
    # Of one class at a time, features of pictures would say how they differ from their own class.
    context, net = toy_context(tmp_path), Fresh(ConvNet(depth=2, width=8, norm="batch"))
    images, shown = context.real.train, []
    (one,) = net.draw(context, 0)
    one.features, inner = (lambda pixels: shown.append(pixels) or inner(pixels)), one.features
    settings = RidgeLabels(networks=net, batch=12, augment=None)
    settings._features(one, lambda positions: images.pixels(positions), len(images), (0, "key"))
    by_picture = {images.pixels([place]).numpy().tobytes(): int(images.labels[place]) for place in range(len(images))}
    blocks = [{by_picture[picture[None].numpy().tobytes()] for picture in block} for block in shown]
    assert len(blocks) == 3 and all(block == {0, 1, 2} for block in blocks)


def test_features_without_a_classifier_are_named():
    with pytest.raises(Diverged, match="not finite"):
        ridge_answer(torch.full((3, 2), torch.nan), 0.1)
    with pytest.raises((UserError, TypeError), match="squared error"):
        RidgeLabels(loss="hinge")
