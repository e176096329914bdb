"""A plan counts what a run would do, and does none of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gendistill.anchors.herding import Herding
from gendistill.anchors.real_pictures import RealPictures
from gendistill.evaluation.protocol import Protocol, When
from gendistill.experiments.plan import plan
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.system.store import cache_root
from gendistill.toys import Toy, ToyData, ToyGan
from tests.parts_under_test import TEACHER

PROTOCOL = Protocol(
    name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=7, batch=4), sets=2, students=3
)
RECIPE = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=6, cfg=2.0),), ipc=5, block=4)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("gendistill.experiments.plan.TRIAL_S", 0.0)


def found(told, part, what):
    return next(line for line in told.lines if line.part == part and line.what == what)


def test_denoiser_evaluations_are_counted():
    told = plan(RECIPE, PROTOCOL)
    # 3 classes x 2 blocks of 4 slots x 6 steps x both halves of guidance, in 2 sets; the recipe is its own unsteered prior
    assert told.denoiser_evaluations == 3 * 2 * 4 * 6 * 2 * 2
    assert told.images == 15 and told.sets == 2


def test_an_unsteered_set_is_counted_beside_a_steered_one():
    steered = replace(RECIPE, steering=(Sample(steps=6, cfg=2.0, guides=(Guide(ModePull(), window=(0.5, 1.0)),)),))
    told = plan(steered, PROTOCOL)
    assert told.denoiser_evaluations == 2 * plan(RECIPE, PROTOCOL).denoiser_evaluations
    assert found(told, "distil", "guide").calls == 3 * 2 * 2 * 2, "of t = 830, 664, 498 ... two lie in the window"


def test_students_and_teachers_are_counted():
    told = plan(replace(RECIPE, labeler=Relabel((TEACHER,), average="logits")), PROTOCOL)
    # 15 pictures in batches of 4: 3.75 steps an epoch, 7 epochs; random real and distilled, hard and soft, 2 x 3 students
    assert found(told, "evaluate", "train").calls == pytest.approx(15 / 4 * 7 * 2 * 2 * 6)
    assert found(told, "teachers", "teacher").calls == pytest.approx(12 * 36 / 8), "12 epochs are at least 60 steps"


def test_a_step_on_all_real_pictures_that_is_the_same_is_timed_once():
    alike = replace(PROTOCOL, training=replace(PROTOCOL.training, epochs=7), full=replace(PROTOCOL.training, epochs=2))
    told = plan(RECIPE, alike)
    few, all_real = (found(told, part, "train") for part in ("evaluate", "evaluate full real"))
    assert few.seconds_each == all_real.seconds_each and all_real.calls == pytest.approx(36 / 4 * 2)
    told = plan(RECIPE, replace(alike, full=replace(alike.full, batch=12)))
    assert found(told, "evaluate full real", "train").rows == 12


def test_an_objective_that_takes_gradients_of_its_own_is_counted():
    step = Optimize((GradientMatching(ConvNet(depth=2, width=8), batch=4),), steps=9)
    told = plan(replace(RECIPE, steering=(*RECIPE.steering, step)), PROTOCOL)
    assert found(told, "distil", "optimize").flops > 0


def test_optimisation_steps_are_counted_and_timed():
    told = plan(replace(RECIPE, steering=(*RECIPE.steering, Optimize((ModePull(),), steps=9))), PROTOCOL)
    line = found(told, "distil", "optimize")
    assert line.calls == 9 * 3 * 2 * 2 and line.seconds > 0
    assert told.memory_bytes > 0 and told.disk_bytes > 15 * 64


def test_a_generator_that_is_tuned_and_stored_is_counted():
    recipe = Recipe(
        real=ToyData(), prior=ToyGan(), steering=(TuneGenerator(max_train_steps=9, batch=12), Generate()), ipc=2
    )
    kept, drawn = (plan(replace(recipe, draws=draws), PROTOCOL) for draws in (1, 5))
    calls = {line.what: line.calls for line in drawn.lines if line.part == "distil"}
    assert (calls["tune generator"], calls["tune with penalty"]) == (6, 3)
    assert drawn.disk_bytes - kept.disk_bytes == (PROTOCOL.sets + 1) * 4 * 3 * 16, "three centres of 4 x 4"
    assert "random_real" in {line.part for line in drawn.lines}


def test_a_plan_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    plan(replace(RECIPE, labeler=Relabel((TEACHER,), average="logits")), PROTOCOL)
    left = [path for path in cache_root().rglob("*") if path.is_file()]
    assert not left and not [path for path in tmp_path.iterdir() if path.name != "cache"]


def test_it_prints_as_a_table():
    text = str(plan(RECIPE, PROTOCOL))
    assert "denoiser evaluations" in text and "random_real" in text and "as if nothing were cached" in text


def test_as_many_random_real_pictures_as_the_bytes_hold_are_counted():
    views = RelabelViews((TEACHER,), "logits", count=60)
    told, hard = (plan(replace(RECIPE, ipc=2, labeler=labeler), PROTOCOL) for labeler in (views, Hard()))
    assert found(told, "evaluate as many bytes", "train").calls / (3 / 4 * 7 * 6) in range(3, 12), "of 12 a class"
    assert "evaluate as many bytes" not in {line.part for line in hard.lines}
    assert told.disk_bytes - hard.disk_bytes == 3 * 6 * 60 * 3 * 2, (
        "two sets and an export, 6 pictures, 60 views, 16 bits"
    )


def drawn(recipe, protocol=PROTOCOL):
    """Calls of the students that learn from random real pictures for the bytes of a set; none where there are no such rows."""
    told = plan(recipe, protocol)
    return [line.calls for line in told.lines if line.part == "evaluate as many bytes"]


def test_only_rows_that_a_run_makes_are_counted_for_the_bytes(monkeypatch):
    views = RelabelViews((TEACHER,), "logits", count=60)
    wanted = replace(RECIPE, ipc=2)
    assert (
        drawn(replace(wanted, labeler=views), replace(PROTOCOL, labelers=(Hard(), Online((TEACHER,), "logits")))) == []
    )
    assert drawn(wanted, replace(PROTOCOL, labelers=(views,))) == [], "nothing of one picture tells what one costs"
    (calls,) = drawn(wanted, replace(PROTOCOL, labelers=(Hard(), views)))
    assert drawn(wanted, replace(PROTOCOL, labelers=(Hard(), views), also=(ConvNet(depth=1, width=8),))) == [
        calls,
        calls,
    ]
    alone = replace(wanted, prior=Pixels(), steering=(Start(RealPictures()),), labeler=views)
    assert drawn(alone) == [], "it is random real pictures itself"
    generator = Recipe(real=ToyData(), prior=ToyGan(), steering=(Generate(),), ipc=2)
    monkeypatch.setattr("gendistill.experiments.plan_bytes.packed", lambda real: 15.0)
    assert drawn(generator) == []
    # Three centres of 4 x 4 are 192 bytes, as 12 pictures with a label are, of which 3 classes have 4 each.
    assert drawn(replace(generator, draws=5)) == [12 / 4 * 7 * 6]


def test_what_a_protocol_asks_is_counted():
    """Labels of two views a set, online teachers beside every step, two students, and real pictures that are chosen."""
    protocol = replace(
        PROTOCOL, also=(ConvNet(depth=1, width=8),), cases=(When(most_ipc=5, epochs=3),), coresets=(Herding((TEACHER,)),),
        labelers=(Hard(), RelabelViews((TEACHER,), "logits", count=2), Online((TEACHER,), "logits")),
    )  # fmt: skip
    told = plan(RECIPE, protocol)
    # The recipe is its own unsteered prior: three sets stand side by side, with three kinds of labels, of 2 x 3 students each.
    steps = sum(line.calls for line in told.lines if (line.part, line.what) == ("evaluate", "train"))
    assert steps == pytest.approx(2 * 15 / 4 * 3 * 3 * 3 * 6)
    assert found(told, "evaluate", "label").calls == pytest.approx(2 * 3 * 3 * 6)
    assert found(told, "label", "label").calls == pytest.approx(2 * (2 + 2 + 6))
