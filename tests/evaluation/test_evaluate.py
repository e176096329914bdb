"""Side by side, last epoch, every seed its own, and the held-out pictures opened once."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import torch

from gendistill.data.validation import Validation
from gendistill.distilled import Distilled
from gendistill.evaluation import evaluate as module
from gendistill.evaluation.baselines import baselines, random_real, unsteered
from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.protocols import Protocol
from gendistill.labelers.relabel import Relabel
from gendistill.nets.convnet import ConvNet
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.runs import distill, open_context
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.testing import Toy, ToyData
from gendistill.training import Training
from gendistill.types import RealData, UserError
from tests.parts_under_test import TEACHER

PROTOCOL = Protocol(
    name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=2, batch=8), sets=2, students=2,
    full=Training(epochs=1, batch=8),
)  # fmt: skip
RECIPE = Recipe(
    real=ToyData(), prior=Toy(), ipc=2, block=2, labeler=Relabel((TEACHER,), average="logits"),
    steering=(Sample(steps=3, guides=(Guide(ModePull()),), oversample=1),),
)  # fmt: skip


def made(recipe, seeds=2):
    return [distill(replace(recipe, seed=seed)) for seed in range(seeds)]


def test_every_comparison_stands_beside_the_set():
    rows = evaluate(made(RECIPE), PROTOCOL).rows
    assert [(row.set, row.labels) for row in rows] == [
        ("distilled", "hard"), ("distilled", "soft"), ("random_real", "hard"), ("random_real", "soft"), ("unsteered", "hard"),
        ("unsteered", "soft"), ("full_real", "hard"),
    ]  # fmt: skip
    small, whole = rows[0], rows[-1]
    assert (small.n, small.ipc, small.epochs, small.split, small.student) == (4, 2, 2, "test", "ConvNet-2/8")
    assert (whole.n, whole.ipc, whole.epochs, whole.std) == (1, None, 1, 0.0)
    assert rows[1].bytes == small.bytes + 6 * 3 * 4, "soft labels are counted"


def test_the_row_is_the_mean_and_deviation_of_its_students():
    context = open_context(RECIPE, torch.device("cpu"), torch.float32, lambda items, *_: items)
    held_out, sets = context.real.test(), [one.hard() for one in made(RECIPE)]
    scores = [module.score(sets[i % 2], PROTOCOL, PROTOCOL.training, i, context, held_out) for i in range(4)]
    row = module.row("distilled", sets, PROTOCOL, context, held_out)
    assert row.mean == pytest.approx(statistics.mean(scores)) and row.std == pytest.approx(statistics.stdev(scores))


def test_held_out_pictures_are_opened_once_and_last(monkeypatch):
    events = []
    opened = ToyData.open

    def watched(self):
        data = opened(self)
        return RealData(data.name, data.train, lambda: events.append("test") or data.test())

    monkeypatch.setattr(ToyData, "open", watched)
    monkeypatch.setattr(module, "distill", lambda *a, **k: events.append("made") or distill(*a, **k))
    evaluate(made(replace(RECIPE, ipc=3)), PROTOCOL)
    assert events.count("test") == 1 and events[-1] == "test"


def test_a_validation_split_is_named_and_leaves_the_test_pictures_closed(monkeypatch):
    def closed(self):
        data = ToyData(per_class=20)._images("train")
        return RealData("toy", data, lambda: pytest.fail("the test pictures were opened"))

    monkeypatch.setattr(ToyData, "open", closed)
    recipe = replace(RECIPE, real=Validation(ToyData(per_class=20), fraction=0.2))
    rows = evaluate(made(recipe, 1), replace(PROTOCOL, sets=1)).rows
    assert {row.split for row in rows} == {"val"}


def test_baselines_share_data_labels_and_size_and_nothing_else():
    assert random_real(RECIPE).labeler == RECIPE.labeler and random_real(RECIPE).prior == Pixels()
    plain = unsteered(RECIPE)
    assert plain is not None and plain.steering == (Sample(steps=3),)
    assert unsteered(random_real(RECIPE)) is None
    assert list(baselines(random_real(RECIPE))) == [] and list(baselines(plain)) == ["random_real"]


def test_a_student_is_trained_once(monkeypatch):
    sets = made(replace(RECIPE, seed=50))
    first = evaluate(sets, PROTOCOL)
    monkeypatch.setattr(module, "train", lambda *a, **k: pytest.fail("a student was trained again"))
    assert evaluate(sets, PROTOCOL).rows == first.rows


def test_learning_from_separable_classes_works():
    protocol = replace(
        PROTOCOL, training=Training(epochs=60, batch=8, optimizer="AdamW", lr=0.01, augment=None), sets=1, students=1
    )
    assert evaluate(made(replace(RECIPE, ipc=6), 1), protocol).rows[0].mean > 90


def test_a_set_without_a_recipe_has_nothing_to_stand_beside():
    with pytest.raises(UserError, match="--real"):
        evaluate(Distilled.of(ToyData().open().train), PROTOCOL)
