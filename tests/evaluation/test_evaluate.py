"""Side by side, last epoch, every seed its own, and the held-out pictures opened once."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import torch

from gendistill import seeds
from gendistill.anchors.herding import Herding
from gendistill.anchors.k_centre import KCentre
from gendistill.anchors.modes import Modes
from gendistill.data.digits import Digits
from gendistill.data.validation import Validation
from gendistill.distilled import Distilled
from gendistill.evaluation import evaluate as module
from gendistill.evaluation import rows as lines
from gendistill.evaluation.baselines import baselines, random_real, unsteered
from gendistill.evaluation.elsewhere import leakage_of, taught_elsewhere
from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.metrics.attacks import FGSM
from gendistill.evaluation.metrics.copying import copying
from gendistill.evaluation.metrics.examine import examine
from gendistill.evaluation.metrics.features import features_of
from gendistill.evaluation.metrics.fidelity import fidelity
from gendistill.evaluation.metrics.stress import Stress
from gendistill.evaluation.protocol import Protocol, When
from gendistill.evaluation.sets.opened import open_sets
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training, train
from gendistill.nets import trained
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.loaded import Loaded
from gendistill.nets.timm_classifier import TimmClassifier
from gendistill.nets.trained import shape_of
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.pixels import Pixels
from gendistill.provenance import NO_LEAKAGE_STATEMENT
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.running.load import load
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.toys import Toy, ToyData
from gendistill.types import RealData, UserError
from tests.nets.tiny_classifiers import timm_folder
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
    scores = [lines.score(sets[i % 2], PROTOCOL, PROTOCOL.training, i, context, held_out) for i in range(4)]
    row = lines.row("distilled", sets, PROTOCOL, context, held_out)
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
    monkeypatch.setattr(lines, "train", lambda *a, **k: pytest.fail("a student was trained again"))
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
        lines.row(name, [one.hard() for one in sets], PROTOCOL, context, context.real.test())
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
    with pytest.raises(UserError, match="knows too little to be asked"):
        evaluate(made(replace(RECIPE, seed=6), 1), replace(PROTOCOL, labelers=(Relabel((idle,), "logits"),)))


def test_a_set_without_a_recipe_has_nothing_to_stand_beside():
    with pytest.raises(UserError, match="give real="):
        evaluate(Distilled.of(ToyData().open().train), PROTOCOL)


def test_rows_say_how_many_sets_their_scores_are_over():
    report = evaluate(made(replace(RECIPE, seed=12)), PROTOCOL)
    assert {row.set: row.sets for row in report.rows} == {
        "distilled": 2,
        "random_real": 4,
        "unsteered": 2,
        "full_real": 1,
    }
    alone = evaluate(made(replace(RECIPE, seed=12), 1), replace(PROTOCOL, sets=1))
    assert "distilled, unsteered prior: ± is over students of one set: says nothing of another seed." in str(alone)


def test_a_set_without_a_recipe_stands_beside_real_pictures():
    stray = replace(made(replace(RECIPE, seed=13), 1)[0], recipe=None)
    report = evaluate(stray, PROTOCOL, real=ToyData())
    assert [row.set for row in report.rows] == ["distilled", "distilled", "random_real", "full_real"]


def test_all_sets_of_a_run_are_judged_by_other_real_pictures_with_its_own_recipe(tmp_path):
    part = Validation(Digits(size=8), fraction=0.2)
    recipe = Recipe(real=part, prior=Pixels(), steering=(Start(Modes()),), ipc=1, labeler=Relabel((TEACHER,), "logits"))
    for seed in range(3):
        distill(replace(recipe, seed=seed), tmp_path / "run" / "sets" / f"seed-{seed}")
    (tmp_path / "run" / "run.json").write_text("{}")
    protocol = replace(PROTOCOL, sets=1, students=2)
    opened = open_sets(tmp_path / "run", real=Digits(size=8))
    sets, context = module.beside(opened, protocol), opened.context
    wanted = [load(tmp_path / "run" / "sets" / f"seed-{seed}").images.fingerprint for seed in range(3)]
    assert [one.images.fingerprint for one in sets["distilled"]] == wanted
    assert context.real.split == "test" and sets["random_real"][0].recipe.real == Digits(size=8)
    assert [one.soft.kind for one in sets["random_real"]] == ["soft"] * 2, "its labeler labels them"
    rows = {(row.set, row.labels): row for row in module.measure(sets, protocol, context).rows}
    assert (rows["distilled", "hard"].n, rows["distilled", "hard"].sets) == (3, 3)
    turned = Validation(Digits(size=8), fraction=0.2, seed=1)
    with pytest.raises(UserError, match="val pictures of digits are among the training pictures of Validation"):
        evaluate(tmp_path / "run", protocol, real=turned)


def test_labels_that_are_passed_over_are_told(caplog):
    evaluate(made(replace(RECIPE, seed=14), 1), replace(PROTOCOL, labelers=(Hard(),), sets=1, students=1))
    assert caplog.text.count("own labels (soft) are passed over") == 1
    caplog.clear()
    evaluate(made(replace(RECIPE, seed=14), 1), replace(PROTOCOL, sets=1, students=1))
    assert "passed over" not in caplog.text


def test_labels_by_teachers_of_others_are_marked(monkeypatch):
    monkeypatch.setattr(module, "check_teachers", lambda *given: None)  # a small one knows little
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    net = trained.load(TEACHER, context)
    foreign, known = (Relabel((Loaded(net, saw),), "logits") for saw in ("", "the training pictures"))
    sets = made(replace(RECIPE, seed=17), 1)
    told = evaluate(sets, replace(PROTOCOL, sets=1, students=1, labelers=(Hard(), foreign, known)))
    assert {row.elsewhere for row in told.rows if row.labels == "hard"} == {False}
    soft = [row.elsewhere for row in told.rows if row.labels == "soft" and row.set == "distilled"]
    assert soft == [True, False] and "† teachers trained elsewhere" in str(told)
    own = replace(sets[0], recipe=replace(RECIPE, labeler=foreign))
    assert not taught_elsewhere(sets[0], None, "") and taught_elsewhere(own, None, "")
    assert not taught_elsewhere(own.hard(), None, ""), "its pictures do not follow from who labelled"
    stray = replace(sets[0], recipe=None, origin={})
    assert taught_elsewhere(stray, None, "") and not taught_elsewhere(stray.hard(), None, ""), (
        "nobody says who labelled"
    )
    assert leakage_of(sets[0], context) == sets[0].origin["leakage"]
    assert leakage_of(stray, context) == NO_LEAKAGE_STATEMENT


def test_students_are_put_through_the_stress_of_the_protocol(monkeypatch):
    stress = Stress((FGSM(8),), ("blur", "gaussian noise"), (1, 5), most=12)
    sets = made(replace(RECIPE, seed=15), 1)
    calm, harmed = (
        evaluate(sets, replace(PROTOCOL, sets=1, also=(ConvNet(depth=1, width=8),), stress=one))
        for one in (None, stress)
    )
    first, *_ = harmed.rows
    assert list(first.attacked) == ["as they are", "FGSM 8/255"]
    assert list(first.corrupted) == ["as they are", "blur", "gaussian noise"]
    assert calm.rows[0].attacked == {} and [row.scores for row in calm.rows] == [row.scores for row in harmed.rows]
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    net = build(ConvNet(depth=2, width=8), shape_of(context), seeds.number(0, "student"), context.device)
    train(net, sets[0].images, PROTOCOL.training, seeds.number(0, "student", "order"), context.device)
    wanted = examine(net, context.real.test(), stress=stress)
    one = lines.row(
        "distilled",
        [sets[0].hard()],
        replace(PROTOCOL, sets=1, students=1, stress=stress),
        context,
        context.real.test(),
    )
    assert one.attacked["FGSM 8/255"] == pytest.approx(wanted.adversarial.attacks[0].accuracy)
    assert one.corrupted["blur"] == pytest.approx(statistics.fmean(wanted.corrupted.corruptions[0].accuracy))
    mean = harmed.rows[2]
    assert mean.attacked["FGSM 8/255"] == pytest.approx(
        statistics.fmean(row.attacked["FGSM 8/255"] for row in harmed.rows[:2])
    )
    assert list(first.attack_seconds) == list(first.attacked) and min(first.attack_seconds.values()) > 0
    assert list(mean.attack_seconds) == list(first.attacked) and calm.rows[0].attack_seconds == {}
    assert "under stress" in str(harmed)


def test_pictures_are_compared_with_real_ones_where_that_is_asked(monkeypatch):
    events = []
    opened = module.open_held_out
    monkeypatch.setattr(module, "open_held_out", lambda *given: events.append("test") or opened(*given))
    sets = made(replace(RECIPE, seed=16), 2)
    report = evaluate(sets, PROTOCOL, fidelity=True)
    assert [(one.set, one.ipc, one.sets, one.k) for one in report.likeness] == [
        ("distilled", 2, 2, 5), ("random_real", 2, 2, 5), ("unsteered", 2, 2, 5)
    ]  # fmt: skip
    ours, random, _ = report.likeness
    assert (random.copies, random.copies_seen, random.precision) == (1.0, 1.0, 1.0), "real pictures are copies"
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    see = features_of(trained.load(trained.Trained(PROTOCOL.student, PROTOCOL.full), context))
    found = [fidelity(one.images, context.real.train, see, k=5) for one in sets]
    assert ours.frechet == pytest.approx(statistics.fmean(one.frechet for one in found))
    assert ours.copies == statistics.fmean(copying(one.images, context.real.train).share() for one in sets)
    assert "pictures among real ones" in str(report) and evaluate(sets, PROTOCOL).likeness == ()


def test_the_features_that_pictures_are_compared_by_are_chosen(tmp_path):
    sets = made(replace(RECIPE, seed=16), 1)
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    named = {"distilled": sets, "random_real": sets}
    foreign = TimmClassifier(timm_folder(tmp_path / "net", ("a", "b", "c", "d"), outputs=4), size=16)

    def grey(pixels):
        return pixels.flatten(1)[:, :5]

    for chosen, told in ((foreign, "timm"), (TEACHER, "trained here"), (grey, "grey")):
        report = module.measure(named, PROTOCOL, context, features=chosen)
        assert [told in one.features for one in report.likeness] == [True] * 2
        see = chosen.see(context) if chosen is not grey else grey
        wanted = fidelity(sets[0].images, context.real.train, see, k=5)
        assert report.likeness[0].frechet == pytest.approx(wanted.frechet, rel=1e-3)
