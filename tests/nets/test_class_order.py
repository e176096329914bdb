"""A given teacher whose classes are in another order is refused before it steers or labels anything."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from gendistill.images import StoredImages
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets.base import build
from gendistill.nets.class_order import best_order, check_order, rings
from gendistill.nets.trained import Loaded, load, shape_of
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.margin import Margin
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, toy_context
from gendistill.types import Class, UserError
from tests.parts_under_test import TEACHER

GOOD = replace(TEACHER, training=Training(epochs=40, batch=8, lr=0.05, augment=None))
CPU = torch.device("cpu")


class Reordered(torch.nn.Module):
    """A classifier with its outputs in another order, which its weights do not show."""

    def __init__(self, net, order):
        super().__init__()
        self.net, self.order = net, order

    def forward(self, pixels):
        return self.net(pixels)[:, self.order]


class Says(torch.nn.Module):
    """Reads the true class from the first pixel, and answers by a table of logits."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, pixels):
        return self.table[(pixels[:, 0, 0, 0] * 255).round().long()]


def numbered(classes, per_class):
    """Pictures whose pixels are the number of their class."""
    labels = torch.arange(classes).repeat_interleave(per_class)
    stored = labels.view(-1, 1, 1, 1).expand(-1, 1, 2, 2).to(torch.uint8)
    return StoredImages([Class(f"class {index}") for index in range(classes)], labels, stored)


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path)


@pytest.mark.parametrize("order", [[1, 2, 0], [1, 0, 2]], ids=["all moved", "two swapped"])
def test_a_permuted_teacher_is_refused_with_examples(order, context):
    teacher = Reordered(load(GOOD, context), order)
    with pytest.raises(UserError, match=r"(?s)another order.*10 of 10 pictures of class \d 'class \d'.*\[:, order\]"):
        CrossEntropy((teacher,)).bind(context)


def test_the_right_teacher_passes_without_a_word(context, caplog):
    Margin((Reordered(load(GOOD, context), [0, 1, 2]),)).bind(context)
    assert not caplog.text


def test_reordered_as_the_message_says_it_passes(context):
    wrong = Reordered(load(GOOD, context), [1, 2, 0])
    with torch.no_grad():
        said = wrong(context.real.train.pixels(torch.tensor([0, 12, 24]))).argmax(1).tolist()
    check_order(Reordered(wrong, said), context.real.train, CPU)


def test_a_reference_is_checked_once_and_forgiven_never(context, monkeypatch):
    seen = []
    real = type(context.real.train).stored
    monkeypatch.setattr(type(context.real.train), "stored", lambda self, at: seen.append(len(at)) or real(self, at))
    good, bad = (Loaded(Reordered(load(GOOD, context), order)) for order in ([0, 1, 2], [1, 2, 0]))
    assert good == bad, "the fingerprint of the weights does not see the order"
    seen.clear()
    load(good, context)
    load(good, context.of((1,)))
    assert seen == [10, 10, 10], "ten pictures of one class at a time, once"
    for _ in range(2):
        with pytest.raises(UserError, match="another order"):
            load(bad, context)


def test_nothing_is_made_of_a_permuted_teacher(tmp_path, context, monkeypatch):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    teacher = Reordered(load(GOOD, context), [1, 2, 0])
    recipe = Recipe(
        real=ToyData(), prior=Toy(), steering=(Sample(steps=2), Optimize((CrossEntropy((teacher,)),), steps=1)), ipc=2
    )
    with pytest.raises(UserError, match="another order"):
        distill(recipe, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.safetensors")) and not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_labeler_s_teacher_is_checked_too(context):
    teacher = Reordered(load(GOOD, context), [1, 2, 0])
    with pytest.raises(UserError, match="another order"):
        Relabel((teacher,), "probs")(context.real.train, context)


def test_a_plan_looks_at_no_picture(context):
    load(Loaded(Reordered(load(GOOD, context), [1, 2, 0])), replace(context, dry=True))


def test_an_untrained_network_is_only_warned_of(context, caplog):
    for seed in range(20):
        check_order(build(TEACHER.net, shape_of(context), seed, CPU).eval(), context.real.train, CPU)
    assert "knows little" in caplog.text


def test_sure_and_worse_than_chance_is_refused_as_that():
    """Five classes of twenty are known and called by the name of the next; the others get one wrong name: no order explains it."""
    table = torch.full((20, 20), -9.0)
    table[torch.arange(20), torch.where(torch.arange(20) == 0, 1, 0)] = 9.0
    with pytest.raises(UserError, match="worse than chance on these pictures: right on 0 of 200"):
        check_order(Says(table), numbered(20, 10), CPU)


def test_a_teacher_that_is_unsure_of_what_it_knows_is_checked_too():
    order = [1, 0, 3, 2, 5, 4, 6, 7, 8, 9]
    softened = 0.1 * torch.eye(10)
    check_order(Says(softened), numbered(10, 10), CPU)
    with pytest.raises(UserError, match="another order"):
        check_order(Says(softened[order]), numbered(10, 10), CPU)


def test_of_one_class_there_is_nothing_to_know(caplog):
    with caplog.at_level(logging.WARNING):
        check_order(Says(torch.zeros(1, 1)), numbered(1, 5), CPU)
    assert not caplog.text


def test_one_answer_for_everything_is_chance(caplog):
    table = torch.full((10, 10), -9.0)
    table[:, 3] = 9.0
    with caplog.at_level(logging.WARNING):
        check_order(Says(table), numbered(10, 10), CPU)
    assert "right on 10 of 100, a guess is on 10" in caplog.text


def test_two_classes_that_look_the_same_are_no_other_order():
    """A good teacher of many classes may call a pair that nobody can tell apart by one name."""
    table = torch.full((40, 40), -9.0).fill_diagonal_(9.0)
    table[7] = table[6]
    check_order(Says(table), numbered(40, 10), CPU)


@pytest.mark.parametrize("ring", [[6, 7], [3, 50, 98]], ids=["a pair", "a triple"])
def test_a_few_classes_of_a_hundred_called_each_other_are_refused(ring):
    table = torch.full((100, 100), -9.0).fill_diagonal_(9.0)
    table[ring] = table[[*ring[1:], ring[0]]]
    told = rf"{len(ring)} of its 100 classes.*10 of 10 pictures of class {ring[0]} 'class {ring[1]}'.*\[:, order\]"
    with pytest.raises(UserError, match=told):
        check_order(Says(table), numbered(100, 10), CPU)
    check_order(Says(table), numbered(100, 4), CPU)  # too few pictures to say


def test_a_ring_is_believed_where_chance_does_not_make_it():
    """Heads of a fair coin: 18 of 20 is 211 in a million, 17 of 20 is 1288; in a ring of three, 18 of 24 is 11 in a thousand."""

    def found(rows):
        return [order.tolist() for order in rings(torch.tensor(rows))]

    assert found([[1, 9, 0], [9, 1, 0], [0, 0, 9]]) == [[1, 0, 2]]
    assert found([[2, 8, 0], [9, 1, 0], [0, 0, 9]]) == []
    assert found([[2, 6, 0], [0, 2, 6], [6, 0, 2]]) == []
    assert found([[0, 6, 0], [0, 0, 6], [6, 0, 0]]) == [[1, 2, 0]]
    assert found([[0, 9, 0], [0, 9, 0], [0, 0, 9]]) == [], "one name for both is no ring"
    assert found([[0, 5, 5], [9, 0, 0], [0, 0, 9]]) == [], "half is no majority"


def test_the_best_order_takes_clear_answers_first_and_keeps_the_rest():
    counts = torch.tensor([[0, 9, 1, 0], [8, 0, 2, 0], [5, 0, 5, 0], [0, 0, 0, 0]])
    assert best_order(counts).tolist() == [1, 0, 2, 3]
