"""What all labelers that learn promise: labels move to what is true, a kill costs nothing, and bad input is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.exporting.cite import cite
from gendistill.images import StoredImages
from gendistill.labelers import learned
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.learned import real_batches
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.ridge_labels import RidgeLabels
from gendistill.labelers.unrolled_labels import UnrolledLabels
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh, Interpolated, Warming
from gendistill.toys import ToyData, toy_context
from gendistill.types import Diverged, RealData, UserError
from tests.interruption import stopping
from tests.parts_under_test import TEACHER

NET = ConvNet(depth=2, width=8)
SHORT = {"steps": 7, "batch": 12, "lr": 0.1}
RIDGE = RidgeLabels(networks=Fresh(NET), every=3, **SHORT)
UNROLLED = UnrolledLabels(net=NET, inner=3, outer=2, net_lr=0.1, **SHORT)
KINDS = [
    RIDGE,
    replace(RIDGE, networks=Warming((NET,), steps=2, every=2, batch=8), every=1),
    UNROLLED,
]


def fake(context, wrong=None):
    """The first two real pictures of each class, one of which may have the label of the class after its own."""
    real = context.real.train
    positions = torch.cat([real.where(index)[:2] for index in range(len(real.classes))])
    labels = real.labels[positions].clone()
    if wrong is not None:
        labels[wrong] = (labels[wrong] + 1) % len(real.classes)
    return StoredImages(real.classes, labels, real.stored(positions))


@pytest.mark.parametrize(
    "labeler",
    [replace(RIDGE, steps=40), replace(UNROLLED, steps=20, inner=5, outer=5, lr=0.3)],
    ids=["ridge", "unrolled"],
)
def test_a_wrong_label_moves_to_the_true_class(labeler, tmp_path):
    context = toy_context(tmp_path)
    labels = torch.arange(3).repeat_interleave(2)
    found = labeler(fake(context, wrong=2), context).at(torch.arange(6)).exp()
    before = replace(labeler, steps=0)(fake(context, wrong=2), context).at(torch.arange(6)).exp()
    gained = found[torch.arange(6), labels] - before[torch.arange(6), labels]
    assert gained[2] > 0.2 and gained[2] == gained.max(), "the wrong label did not move most"
    others = torch.tensor([0, 1, 3, 4, 5])
    assert torch.equal(found[others].argmax(1), labels[others]), "a right label was lost"


@pytest.mark.parametrize("labeler", KINDS, ids=["fresh", "warming", "unrolled"])
def test_a_killed_labeler_goes_on_to_the_same_bits(labeler, tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "SAVE_EVERY_S", -1.0)
    first = toy_context(tmp_path / "whole")
    images = fake(first, wrong=0)
    whole = labeler(images, first).log_probs
    killed = toy_context(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        labeler(images, replace(killed, progress=stopping(5)))
    seen = []
    anew = replace(
        toy_context(tmp_path / "killed"), progress=lambda items, what, total=None: (seen.append(i) or i for i in items)
    )
    resumed = labeler(images, anew).log_probs
    rest = 5 // labeler.period * labeler.period
    assert seen == list(range(rest, 7)), "finished steps were made again, or lost"
    assert torch.equal(resumed, whole)


def test_labels_are_learned_once_and_kept_by_any_codec(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    found = RIDGE(fake(context), context)
    monkeypatch.setattr(RidgeLabels, "bind", lambda *args: pytest.fail("learned again"))
    again = replace(RIDGE, codec=Half())(fake(context), context)
    torch.testing.assert_close(again.log_probs, found.log_probs, atol=1e-2, rtol=0)
    assert again.bytes == found.bytes // 2


def test_labels_follow_from_seed_and_set(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    found = [RIDGE(images, replace(context, seed=seed)) for images, seed in ((fake(context), 0), (fake(context), 1))]
    assert not torch.equal(found[0].log_probs, found[1].log_probs)
    assert not torch.equal(found[0].log_probs, RIDGE(fake(context, wrong=1), context).log_probs)


def test_labels_begin_where_they_are_told(tmp_path):
    context = toy_context(tmp_path)
    images = fake(context)
    hard = replace(RIDGE, steps=0)(images, context).log_probs.exp()
    torch.testing.assert_close(hard[0], torch.tensor([1 - 0.1 + 0.1 / 3, 0.1 / 3, 0.1 / 3]))
    teacher = Relabel((TEACHER,), "logits")
    soft = replace(RIDGE, steps=0, start=teacher, smoothing=0.0)(images, context).log_probs
    torch.testing.assert_close(soft, teacher(images, context).log_probs)


def test_batches_are_of_all_classes_equally_and_from_training_pictures(tmp_path):
    context = toy_context(tmp_path)
    pick = real_batches(8, context)
    stored = {picture.numpy().tobytes(): int(label) for picture, label in
              zip(context.real.train.stored(range(36)), context.real.train.labels, strict=True)}  # fmt: skip
    seen = []
    for step in range(6):
        pixels, labels = pick(step)
        assert torch.equal(torch.bincount(labels), torch.tensor([2, 2, 2]))
        keys = [picture.numpy().tobytes() for picture in (pixels * 255).round().to(torch.uint8)]
        assert [stored[key] for key in keys] == labels.tolist()
        seen += keys
    assert len(set(seen)) == 36, "a picture came twice before all came once"
    assert torch.equal(real_batches(8, context)(4)[0], pick(4)[0])
    assert torch.bincount(torch.cat([real_batches(2, context)(step)[1] for step in range(3)])).tolist() == [2, 2, 2]


@pytest.mark.parametrize("labeler", KINDS, ids=["fresh", "warming", "unrolled"])
def test_a_plan_counts_all_steps_and_leaves_nothing(labeler, tmp_path):
    context = toy_context(tmp_path)
    pieces = list(labeler.work(fake(context), context))
    assert sum(one.calls for one in pieces) == 7
    for one in pieces:
        one.once()
        one.once()
    assert not (tmp_path / "learned labels").exists()


def test_a_plan_counts_the_training_of_networks(tmp_path):
    networks = Interpolated(NET, Training(epochs=2, batch=12, augment=None), count=3)
    pieces = list(replace(RIDGE, networks=networks).work(fake(toy_context(tmp_path)), toy_context(tmp_path)))
    assert sum(one.calls for one in pieces if one.what == "teacher") == 3 * 2 * 3
    assert [one.calls for one in pieces if one.what.startswith("learn")] == [3, 4]


def test_cards_and_citations_say_where_labels_come_from():
    told = replace(RIDGE, networks=Fixed((TEACHER,)), start=Relabel((TEACHER,), "logits")).origins("CC0-1.0")
    assert [one["saw"] for one in told] == ["the training pictures"] * 3
    for labeler in (RidgeLabels(), UnrolledLabels()):
        assert "Bohdal and Yang and Hospedales" in cite(labeler)


def test_bad_settings_are_refused():
    for kind in (RidgeLabels, UnrolledLabels):
        with pytest.raises(UserError, match="smoothing above 0"):
            kind(smoothing=0.0)
        with pytest.raises(UserError, match="lr > 0"):
            kind(lr=0.0)
    with pytest.raises(UserError, match="ridge > 0"):
        RidgeLabels(ridge=0.0)
    with pytest.raises(UserError, match="outer >= 1"):
        UnrolledLabels(outer=0)


def test_bad_input_is_refused(tmp_path):
    context = toy_context(tmp_path)
    with pytest.raises(UserError, match="gives views theirs"):
        replace(RIDGE, start=Online((TEACHER,), "logits"))(fake(context), context)
    empty = StoredImages(context.real.classes, torch.zeros(0, dtype=torch.long), context.real.train.stored([]))
    with pytest.raises(UserError, match="has none"):
        RIDGE.check(RealData("names", empty, None))
    RIDGE.check(ToyData().open())


def test_what_is_not_finite_is_named_and_not_kept(tmp_path):
    context = toy_context(tmp_path)
    with pytest.raises(Diverged, match="UnrolledLabels"):
        replace(UNROLLED, net_lr=1e30)(fake(context), context)
    assert not list((tmp_path / "learned labels").glob("*/labels.safetensors"))
