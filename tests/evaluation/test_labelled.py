"""Sets cross with labelers: each with its own rows, in words that tell them apart."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.labelled import labelled, spell
from gendistill.images import Subset
from gendistill.labelers import online
from gendistill.labelers.alternate import Alternate
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets.trained import Trained
from gendistill.toys import toy_context
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

OTHER = replace(TEACHER, seed=1)
LABELERS = (
    Hard(), Relabel((TEACHER,), "logits", temperature=4.0), Relabel((TEACHER, OTHER), "logits", temperature=4.0),
    RelabelViews((TEACHER,), "logits", count=2), Online((TEACHER,), "probs", temperature=20.0),
)  # fmt: skip


def made(context):
    return [Distilled.of(Subset(context.real.train, torch.tensor([place, 12 + place, 24 + place]))) for place in (0, 5)]


def test_every_labeler_labels_every_set(tmp_path):
    context = toy_context(tmp_path)
    sets = made(context)
    found = list(labelled("distilled", sets, LABELERS, context))
    assert [(words, chosen[0].soft.kind) for words, chosen in found] == [
        ("", "hard"), ("ConvNet-2/8, T 4", "soft"), ("2 teachers, T 4", "soft"), ("ConvNet-2/8, T 1", "views"),
        ("ConvNet-2/8, T 20", "online"),
    ]  # fmt: skip
    for _, chosen in found:
        assert [one.images for one in chosen] == [one.images for one in sets]
    first, second = found[1][1]
    assert torch.equal(first.soft.at(torch.arange(3)), LABELERS[1](sets[0].images, context).at(torch.arange(3)))
    assert not torch.equal(first.soft.at(torch.arange(3)), second.soft.at(torch.arange(3)))


def test_without_labelers_a_set_is_taken_with_hard_labels_and_its_own(tmp_path):
    context = toy_context(tmp_path)
    plain, soft = made(context)
    soft = replace(soft, soft=RelabelViews((TEACHER,), "logits", count=2)(soft.images, context))
    found = [
        (words, [one.soft.kind for one in chosen]) for words, chosen in labelled("ours", [plain, soft], (), context)
    ]
    assert found == [("", ["hard", "hard"]), ("", ["views"])]


def test_all_real_pictures_keep_their_hard_labels(tmp_path):
    context = toy_context(tmp_path)
    whole = [Distilled.of(context.real.train)]
    assert [words for words, _ in labelled("full_real", whole, LABELERS, context)] == [""]


def test_online_labels_cost_the_bytes_of_their_teachers(tmp_path):
    context = toy_context(tmp_path)
    one, two = (
        next(chosen for _, chosen in labelled("ours", made(context), (Online(teachers, "logits"),), context))[0]
        for teachers in ((TEACHER,), (TEACHER, OTHER))
    )
    net = TEACHER.load(context)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    assert one.label_sizes["soft labels"] == weights and two.label_sizes["soft labels"] == 2 * weights


def test_sets_share_their_teachers_and_one_has_its_pictures_in_memory(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    loaded, read = [], []
    load, reader = Trained.load, online.reader
    monkeypatch.setattr(Trained, "load", lambda self, context: loaded.append(self) or load(self, context))
    monkeypatch.setattr(online, "reader", lambda images, device: read.append(images) or reader(images, device))
    asked = (Online((TEACHER,), "logits"), Relabel((TEACHER,), "logits", temperature=9.0))
    ((_, sets), (_, others)) = labelled("ours", made(context), asked, context)
    assert loaded == [TEACHER] and len(sets) == len(others) == 2
    read.clear()
    for place in (0, 0, 1, 1, 0):
        sets[place].soft.at(torch.arange(3), place)
    assert read == [sets[place].images for place in (0, 1, 0)]


def test_pictures_that_are_drawn_anew_keep_their_hard_labels(tmp_path, caplog):
    context = toy_context(tmp_path)
    drawn = made(context)[0]
    drawn.images.distinct = 100
    with caplog.at_level(logging.WARNING, "gendistill"):
        found = list(labelled("ours", [drawn], LABELERS, context))
    assert [words for words, _ in found] == [""] and "drawn anew" in caplog.text


def test_words_differ_where_labels_do():
    twins = (Relabel((TEACHER,), "logits"), Relabel((OTHER,), "logits"), Hard(), Online((OTHER,), "logits"))
    assert spell(twins) == ["ConvNet-2/8, T 1, no. 1", "ConvNet-2/8, T 1, no. 2", "", "ConvNet-2/8, T 1"]
    views = Online((Trained(),), "logits", views=Views(mix=None), temperature=2.5)
    assert spell([views]) == ["ConvNet-3, T 2.5"]
    assert spell([Alternate(RelabelViews((TEACHER, OTHER), "logits"))]) == ["Alternate, 2 teachers, T 1"]
