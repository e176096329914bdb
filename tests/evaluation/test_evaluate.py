"""Side by side, last epoch, every seed its own, and the held-out pictures opened once."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import torch

from gendistill.anchors.herding import Herding
from gendistill.anchors.k_centre import KCentre
from gendistill.data.validation import Validation
from gendistill.distilled import Distilled
from gendistill.evaluation import evaluate as module
from gendistill.evaluation.baselines import baselines, random_real, unsteered
from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.protocol import Protocol, When
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
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


GOOD = replace(TEACHER, training=Training(epochs=40, batch=8, lr=0.05, augment=None))


def test_sets_cross_with_the_labelers_of_the_protocol_and_with_its_students():
    small = ConvNet(depth=1, width=8)
    protocol = replace(
        PROTOCOL, also=(small,), labelers=(Hard(), Online((GOOD,), "logits", temperature=4.0)), sets=1, students=2,
        cases=(When(most_ipc=2, epochs=3), When(student=small, epochs=5)),
    )  # fmt: skip
    report = evaluate(made(replace(RECIPE, seed=7), 1), protocol)
    kinds = [("hard", ""), ("online", "ConvNet-2/8, T 4")]
    students = [("ConvNet-2/8", 3), ("ConvNet-1/8", 5), ("mean of 2 students", 5)]
    wanted = [
        (name, *kind, *one) for name in ("distilled", "random_real", "unsteered") for kind in kinds for one in students
    ]
    assert [(row.set, row.labels, row.labeler, row.student, row.epochs) for row in report.rows[:-3]] == wanted
    assert {(row.set, row.labels, row.epochs) for row in report.rows[-3:]} == {("full_real", "hard", 1)}
    first, second, mean = report.rows[:3]
    assert len(mean.scores) == 2
    assert mean.scores == pytest.approx([(a + b) / 2 for a, b in zip(first.scores, second.scores, strict=True)])
    assert mean.mean == pytest.approx((first.mean + second.mean) / 2)
    assert mean.training == "" and "epochs=3" in first.training and "epochs=5" in second.training
    hard, online = report.rows[0], report.rows[3]
    assert online.bytes > hard.bytes, "what the teacher weighs is counted"
    assert report.notes == (
        "Labels by ConvNet-2/8, T 4: ConvNet-2/8, 40 epochs, seed 0, trained here; it saw the training pictures.",
    )
    assert report.notes[0] in str(report)


def test_every_seed_is_kept_and_the_same_seed_is_the_same_student():
    """Two sets of equal pictures under two names have equal accuracies, seed by seed."""
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    sets = made(replace(RECIPE, seed=11))
    one, other = (
        module.row(name, [one.hard() for one in sets], PROTOCOL, context, context.real.test())
        for name in ("ours", "theirs")
    )
    assert len(one.scores) == one.n == 4 and one.scores == other.scores
    assert one.mean == pytest.approx(statistics.mean(one.scores))


def test_chosen_real_pictures_stand_beside_random_ones_where_the_protocol_asks():
    protocol = replace(PROTOCOL, coresets=(Herding((TEACHER,)), KCentre((TEACHER,))), sets=1, students=1)
    report = evaluate(made(replace(RECIPE, seed=3), 1), protocol)
    assert report.blocks[0].sets == ["distilled", "random_real", "herding", "k_centre", "unsteered", "full_real"]
    assert report.blocks[0].find("herding", "soft") is not None, "with the same labels"
    assert "k-centre" in str(report)


def test_test_pictures_that_were_learned_from_are_refused(monkeypatch):
    opened = ToyData.open

    def leaking(self):
        data = opened(self)
        return RealData(data.name, data.train, lambda: data.train)

    monkeypatch.setattr(ToyData, "open", leaking)
    with pytest.raises(UserError, match="36 of the 36 test pictures of toy are among its training pictures"):
        evaluate(made(replace(RECIPE, seed=5), 1), PROTOCOL)


def test_a_teacher_of_the_protocol_that_guesses_is_refused_before_the_test_pictures_are_opened(monkeypatch):
    opened = ToyData.open
    monkeypatch.setattr(
        ToyData, "open", lambda self: replace(opened(self), test=lambda: pytest.fail("the test pictures were opened"))
    )
    idle = replace(TEACHER, training=replace(TEACHER.training, lr=1e-9))
    with pytest.raises(UserError, match="knows too little to label"):
        evaluate(made(replace(RECIPE, seed=6), 1), replace(PROTOCOL, labelers=(Relabel((idle,), "logits"),)))


def test_a_set_without_a_recipe_has_nothing_to_stand_beside():
    with pytest.raises(UserError, match="--real"):
        evaluate(Distilled.of(ToyData().open().train), PROTOCOL)
