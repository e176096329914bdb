"""Soft and hard labels take turns as the phases say, and hard ones are the classes of the pictures as they are mixed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.labelers import stored
from gendistill.labelers.alternate import Alternate, Phases
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.label_losses import Divergence
from gendistill.learning.training import Training, train
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.toys import toy_context
from gendistill.types import UserError
from gendistill.views.cutmix import CutMix
from gendistill.views.mixup import MixUp
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

SHORT = Phases()


def alternating(tmp_path, phases=SHORT, **more):
    context = toy_context(tmp_path)
    soft = RelabelViews((TEACHER,), "logits", temperature=20.0, count=3, **more)
    return Alternate(soft, phases)(context.real.train, context), context


def runs(phases, epochs):
    """Lengths of the phases, hard ones below 0."""
    kinds = [phases.at(epoch, epochs)[0] for epoch in range(epochs)]
    ends = [i for i in range(1, epochs) if kinds[i] != kinds[i - 1]]
    return [(b - a) * (-1 if kinds[a] else 1) for a, b in zip([0, *ends], [*ends, epochs], strict=True)]


def test_published_orders():
    assert runs(Phases((1, 2, 1)), 300) == [75, -150, 75]  # S6
    assert runs(Phases((1, 2, 1), hard_first=True), 300) == [-75, 150, -75]  # S7
    assert runs(Phases((1, 1), hard_first=True), 300) == [-150, 150]  # S1
    assert runs(Phases((2, 1)), 300) == [200, -100]  # S8 with twice as many soft epochs
    assert runs(Phases((1,) * 30, hard_first=True), 300) == [-10, 10] * 15  # S2 with ten labelled views


def test_soft_epochs_are_counted():
    assert Phases((1, 2, 1)).soft(300) == 150 and Phases((1,)).soft(7) == 7
    assert Phases((2, 1), hard_first=True).soft(9) == 3


def test_epochs_of_a_kind_are_counted_on_whatever_the_length_of_the_training():
    for phases, epochs in ((Phases((1, 2, 1)), 7), (Phases((3, 1, 1, 2), hard_first=True), 10), (Phases(), 3)):
        found = [phases.at(epoch, epochs) for epoch in range(epochs)]
        assert {kind for kind, _ in found} == {False, True}
        for hard in (False, True):
            mine = [number for kind, number in found if kind == hard]
            assert mine == list(range(len(mine)))


def test_soft_epochs_go_round_the_labels_and_hard_views_are_their_own(tmp_path):
    soft, _ = alternating(tmp_path, cooling=Cooling(by=0.5, every=1, least=2.0))
    assert [soft.view(epoch, 8) for epoch in range(8)] == [0, 1, -1, -2, -3, -4, 2, 0]
    assert [soft.temperature_at(epoch, 8) for epoch in range(8)] == [20, 10, 1, 1, 1, 1, 5, 2.5]


@pytest.mark.parametrize("mix", [CutMix(), MixUp(), None], ids=repr)
def test_a_share_needs_no_picture(mix, tmp_path):
    images, views = toy_context(tmp_path).real.train, Views(mix=mix, seed=4)
    positions = torch.tensor([7, 0, 30])
    look = views.look(images.pixels, positions, -2, len(images))
    partners, share = views.mixing(positions, -2, len(images), images.shape[1:])
    if mix is None:
        assert torch.equal(partners, positions) and bool((share == 1).all())
    else:
        assert torch.equal(partners, look.partners) and torch.equal(share, look.share)


def test_hard_epochs_are_cross_entropy_with_the_smoothed_mixed_classes(tmp_path):
    soft, context = alternating(tmp_path)
    images, positions = context.real.train, torch.arange(12, 24)
    look = soft.views.look(images.pixels, positions, -3, len(images))
    target = sum(
        share.unsqueeze(1) * (0.2 * F.one_hot(images.labels[where], 3) + 0.8 / 3)
        for share, where in ((look.share, positions), (1 - look.share, look.partners))
    )
    torch.testing.assert_close(soft.at(positions, -3).exp(), target)
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours = Divergence(squared=False)(
        logits, soft.at(positions, -3), images.labels[positions], soft.temperature_at(3, 8)
    )
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours.mean(), F.cross_entropy(logits, target))]
    torch.testing.assert_close(*gradients)


def test_a_student_learns_from_both(tmp_path):
    soft, context = alternating(tmp_path)
    asked, at = [], soft.soft.at
    soft.soft.at = lambda positions, view: asked.append(view) or at(positions, view)
    net = build(ConvNet(depth=2, width=8), shape_of(context), 0, context.device)
    train(net, context.real.train, Training(epochs=8, batch=36), 0, context.device, soft=soft)
    first = seeds.number(0, "views") >> 20
    assert asked == [(first + number) % 3 for number in range(4)]


def test_labels_of_single_pictures_alternate_with_their_classes(tmp_path):
    context = toy_context(tmp_path)
    images = context.real.train
    soft = Alternate(Relabel((TEACHER,), "logits"), Phases(smoothing=0.3))(images, context)
    assert soft.views is None
    found = soft.at(torch.tensor([13]), -1).exp()
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.8, 0.1]]))


def test_they_survive_the_disk_and_cost_what_the_soft_ones_do(tmp_path):
    soft, context = alternating(tmp_path)
    told = soft.save(tmp_path / "set")
    again = stored.read(tmp_path / "set", told, context.real.train)
    assert again.bytes == soft.bytes == soft.soft.bytes and again.phases == SHORT
    positions = torch.tensor([4, 1])
    for epoch in (0, 3, 7):
        assert again.view(epoch, 8) == soft.view(epoch, 8)
        torch.testing.assert_close(again.at(positions, again.view(epoch, 8)), soft.at(positions, soft.view(epoch, 8)))


@pytest.mark.parametrize("labeler", [Hard(), Online((TEACHER,), "logits"), Alternate(Relabel((TEACHER,), "logits"))])
def test_nothing_to_take_turns_with_is_refused(labeler):
    with pytest.raises(UserError, match="RelabelViews"):
        Alternate(labeler)


@pytest.mark.parametrize(
    ("words", "says"),
    [({"shares": ()}, "shares above 0"), ({"shares": (1, 0)}, "shares above 0"), ({"smoothing": 1.0}, "smoothing=1.0")],
)
def test_phases_that_make_no_training_are_refused(words, says):
    with pytest.raises(UserError, match=says):
        Phases(**words)
