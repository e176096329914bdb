"""LRS and ARS: the formulas on numbers by hand, and what `rank` trains on what."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.comparing.compare import Comparison
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.protocol import Protocol, When
from gendistill.evaluation.ranking import rank as module
from gendistill.evaluation.ranking.arms import alike, unaugmented, unmixed
from gendistill.evaluation.ranking.rank import Ranking, rank
from gendistill.evaluation.ranking.scores import (
    augmentation_robust_score,
    deviation,
    label_robust_score,
    over_seeds,
    squashed,
)
from gendistill.evaluation.sets.opened import open_sets
from gendistill.images import Subset
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, toy_context
from gendistill.types import Diverged, UserError
from gendistill.views.cutmix import CutMix
from gendistill.views.flip import Flip
from gendistill.views.numbered import Views

TEACHER = Trained(ConvNet(depth=2, width=8), Training(epochs=40, batch=8, lr=0.05, augment=None))
"""Knows enough to label."""
RATES = (0.01, 0.1)
PROTOCOL = Protocol(
    name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=2, batch=8), sets=2, students=2,
    full=Training(epochs=1, batch=8),
)  # fmt: skip
RECIPE = Recipe(
    real=ToyData(), prior=Toy(), ipc=2, block=2, labeler=Relabel((TEACHER,), average="logits"), steering=(Sample(steps=3),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("hlr", "ior", "lrs"),
    [(0.5266, 0.1240, 19.14), (0.2684, 0.3505, 28.68), (0.3988, 0.0912, 20.83), (0.6782, -0.0577, 13.80)],
)
def test_lrs_of_the_leaderboard(hlr: float, ior: float, lrs: float) -> None:
    """DC, DATM, D4M and SRe2L on CIFAR-10: https://huggingface.co/spaces/logits/DD-Ranking."""
    assert 100 * label_robust_score(0.9, 0.9 - hlr, 0.4 + ior, 0.4) == pytest.approx(lrs, abs=0.01)


@pytest.mark.parametrize(
    ("margin", "score"), [(-1, 0), (-0.5, 0.1015), (0, 0.2689), (0.25, 0.3898), (0.5, 0.5449), (1, 1)]
)
def test_what_a_margin_is_worth(margin: float, score: float) -> None:
    assert squashed(margin) == pytest.approx(score, abs=5e-5)


def test_ars_by_hand() -> None:
    # 0.5 (0.5 - 0.3) + 0.5 (0.4 - 0.2) = 0.2, and 0.75 0.2 + 0.25 (-0.2) = 0.1
    assert augmentation_robust_score(0.5, 0.3, 0.4, 0.2) == pytest.approx(squashed(0.2))
    assert augmentation_robust_score(0.5, 0.3, 0.1, 0.3, weight=0.75) == pytest.approx(squashed(0.1))


def test_the_weight_says_which_half_counts() -> None:
    assert label_robust_score(0.9, 0.4, 0.7, 0.5, weight=1) == pytest.approx(squashed(0.2))
    assert label_robust_score(0.9, 0.4, 0.7, 0.5, weight=0) == pytest.approx(squashed(-0.5))


@pytest.mark.parametrize("wrong", [(90.0, 0.4, 0.7, 0.5), (0.9, 0.4, 0.7, -0.1), (0.9, 0.4, math.nan, 0.5)])
def test_percentages_are_refused(wrong: tuple[float, ...]) -> None:
    for score in (label_robust_score, augmentation_robust_score):
        with pytest.raises(UserError, match="divide percentages by 100"):
            score(*wrong)


def test_the_deviation_is_that_of_the_margin_times_the_slope() -> None:
    step = 1e-5
    assert deviation(0.3, 0.02) == pytest.approx(0.02 * (squashed(0.3 + step) - squashed(0.3 - step)) / (2 * step))
    found = over_seeds([0.1, 0.3])
    assert found.value == pytest.approx(squashed(0.2)) and found.n == 2
    assert found.std == pytest.approx(deviation(0.2, math.sqrt(0.02)))
    assert over_seeds([0.1]).std == 0.0
    students = over_seeds([0.1, 0.3, 0.2, 0.4], sets=2)  # of sets whose means are 0.15 and 0.35
    assert students.std == pytest.approx(over_seeds([0.15, 0.35]).std) and students.n == 2
    assert over_seeds([0.1, 0.3], sets=1) == over_seeds([0.1, 0.3])


def test_random_pictures_are_as_many_of_every_class_and_others_for_every_seed(tmp_path) -> None:
    real = toy_context(tmp_path).real.train
    small = Distilled.of(Subset(real, torch.tensor([0, 1, 2, 12, 24])))
    one, other = alike(small, real, 0), alike(small, real, 1)
    assert torch.bincount(one.labels).tolist() == [3, 1, 1] == torch.bincount(other.labels).tolist()
    assert one.images.fingerprint == alike(small, real, 0).images.fingerprint != other.images.fingerprint
    with pytest.raises(UserError, match="4 real pictures of class 0 are left"):
        alike(Distilled.of(real), Subset(real, torch.arange(8, 36)), 0)


def test_labels_of_views_become_labels_of_the_pictures_as_they_are(tmp_path) -> None:
    context = toy_context(tmp_path)
    labeler = Online((TEACHER,), average="logits", temperature=3.0, views=Views())
    seen = Distilled.of(Subset(context.real.train, torch.arange(0, 36, 6)))
    seen = replace(seen, soft=labeler(seen.images, context))
    still = unaugmented(seen, labeler, context)
    wanted = Relabel((TEACHER,), average="logits", temperature=3.0)(seen.images, context)
    assert still.soft.fingerprint == wanted.fingerprint and still.soft.views is None
    assert unaugmented(still, labeler, context) is still
    coarse = RelabelViews((TEACHER,), average="logits", count=2, codec=EightBit(), views=Views())
    assert unaugmented(replace(seen, soft=coarse(seen.images, context)), coarse, context).soft.codec == EightBit()


def alone(sets, context, protocol=PROTOCOL, **words) -> Ranking:
    """The ranking of sets by the only student of a protocol."""
    (found,) = rank(sets, protocol, real=RECIPE.real, context=context, **words).each
    return found


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A ranking of two sets, and every call of `score` it took."""
    context, calls = toy_context(tmp_path_factory.mktemp("rank"), data=ToyData()), []
    measure = module.score

    def watched(one, protocol, training, seed, context, held_out, *rest):
        calls.append((one, training, seed, held_out.fingerprint))
        return measure(one, protocol, training, seed, context, held_out, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "score", watched)
        sets = [distill(replace(RECIPE, seed=seed)) for seed in range(2)]
        return context, sets, alone(sets, context, rates=RATES, fraction=0.2), calls


def test_a_ranking_is_made_of_its_accuracies(ranked) -> None:
    _, _, found, _ = ranked
    margins = [
        0.5 * (any_ - random) - 0.5 * (found.full - hard)
        for hard, any_, random in zip(found.hard, found.method, found.random, strict=True)
    ]
    assert found.lrs == over_seeds(margins, sets=2) and found.lrs.n == found.row.sets == 2
    apart = [
        a - b + c - d for a, b, c, d in zip(found.method, found.random, found.plain, found.random_plain, strict=True)
    ]
    assert found.ars.value == pytest.approx(squashed(sum(apart) / 8))
    assert found.row.mean == pytest.approx(100 * sum(found.method) / 4)


def test_rates_are_chosen_on_training_pictures_and_test_pictures_are_opened_last(ranked) -> None:
    context, _, found, calls = ranked
    test = context.real.test().fingerprint
    where = [held_out == test for *_, held_out in calls]
    assert where == sorted(where) and where.count(True) == 1 + 5 * 4
    assert len({held_out for *_, held_out in calls}) == 2
    assert set(found.rates) == {"hard", "random", "random_plain"}
    assert all(set(rates) <= set(RATES) for rates in found.rates.values())


def test_every_arm_differs_in_what_it_is_called_for(ranked) -> None:
    _, sets, found, calls = ranked
    whole, *rest = calls[-21:]
    hard, method, random, plain, random_plain = (rest[4 * place : 4 * place + 4] for place in range(5))
    assert whole[1] == PROTOCOL.full
    assert {one.images.fingerprint for one, *_ in hard} == {one.images.fingerprint for one in sets}
    assert {one.soft.kind for one, *_ in hard} == {"hard"} and {one.soft.kind for one, *_ in random} == {"soft"}
    assert {training.augment for _, training, *_ in (*plain, *random_plain)} == {None}
    assert {training for _, training, *_ in method} == {PROTOCOL.training}
    assert tuple(training.lr for _, training, *_ in random) == found.rates["random"]
    assert [one.images.fingerprint for one, *_ in random] == [one.images.fingerprint for one, *_ in random_plain]
    assert [seed for _, _, seed, _ in method] == [0, 1, 2, 3]


def test_the_chosen_rate_is_the_best_one(ranked, monkeypatch) -> None:
    context, sets, *_ = ranked

    def scored(one, protocol, training, seed, context, held_out, *rest):
        if training.lr == 1.0:
            raise Diverged("too much")
        return 50.0 + 10 * training.lr

    monkeypatch.setattr(module, "score", scored)
    found = alone(sets, context, rates=(0.5, 1.0, 0.2), fraction=0.2)
    assert found.rates["hard"] == (0.5,) * 4 and found.hard == (0.55,) * 4
    with pytest.raises(Diverged, match="give lower ones"):
        alone(sets, context, rates=(1.0,), fraction=0.2)
    own = replace(PROTOCOL, training=replace(PROTOCOL.training, lr=0.7))
    found = alone(sets, context, own, fraction=0.2)
    assert found.rates["random"] == (0.7,) * 4, "random pictures may have the set's own rate"


def test_a_set_of_hard_labels_has_one_accuracy_for_both(ranked, monkeypatch) -> None:
    context, sets, *_ = ranked
    monkeypatch.setattr(module, "score", lambda one, protocol, training, *_: 100 * training.lr)
    found = alone([one.hard() for one in sets], context, rates=(0.5,), fraction=0.2)
    assert set(found.rates) == {"random", "random_plain"} and found.hard == found.method == (PROTOCOL.training.lr,) * 4


def test_classes_are_learned_of_single_pictures() -> None:
    mixed = Training(augment=Views((Flip(),), CutMix()))
    assert unmixed(mixed).augment == Views((Flip(),), None) and unmixed(Training()) == Training()


def test_a_ranking_goes_into_a_file_of_results(ranked) -> None:
    *_, found, _ = ranked
    (row,) = json.loads(json.dumps(found.to_json("toy run")))["rows"]
    one = Result.from_json(row, "row 1")
    assert (one.name, one.lrs, one.ars_std) == ("toy run", found.lrs.value, found.ars.std)
    assert one.more["ranking"]["full"] == found.full and one.scores == found.row.scores and len(one.seeds) == one.n
    assert f"{100 * found.lrs.value:.1f}" in str(Comparison((one,)))
    assert str(found).startswith(f"LRS {100 * found.lrs.value:.1f}")
    assert isinstance(found, Ranking) and found.data == "toy, 3 classes, 8 × 8 grey"


def test_soft_labels_of_nobody_cannot_be_given_to_random_pictures(ranked) -> None:
    context, sets, *_ = ranked
    stray = replace(sets[0], recipe=None)
    with pytest.raises(UserError, match=r"say by labeler=.*distilled\.hard\(\)"):
        alone(stray, context)
    other = replace(sets[0], recipe=replace(RECIPE, labeler=Online((TEACHER,), average="logits")))
    with pytest.raises(UserError, match="has soft labels and its recipe gives online ones"):
        alone(other, context, fraction=0.2)
    guessing = Relabel((replace(TEACHER, training=Training(epochs=1, batch=64, lr=1e-6)),), average="logits")
    with pytest.raises(UserError, match="knows too little to be asked"):
        alone(sets, context, labeler=guessing, fraction=0.2)


def test_a_path_is_ranked_by_every_student_of_a_protocol(ranked, tmp_path, monkeypatch) -> None:
    _, sets, *_ = ranked
    monkeypatch.setattr(module, "score", lambda one, protocol, *_: 50.0 + 10 * (protocol.student.depth == 3))
    distill(RECIPE, tmp_path / "set")
    both = replace(PROTOCOL, also=(ConvNet(depth=3, width=8),))
    words = {"real": ToyData(), "labeler": RECIPE.labeler, "rates": RATES, "fraction": 0.2}
    found = rank(tmp_path / "set", both, **words)
    assert [(one.row.student, one.row.mean) for one in found.each] == [("ConvNet-2/8", 50.0), ("ConvNet-3/8", 60.0)]
    assert repr(found) == f"ConvNet-2/8: {found.each[0]}\nConvNet-3/8: {found.each[1]}" == str(found)
    assert [row["student"] for row in found.to_json("toy")["rows"]] == ["ConvNet-2/8", "ConvNet-3/8"]
    assert rank(open_sets(sets[0], real=ToyData()), both, **words) == found, "what was opened is not opened again"
    with pytest.raises(UserError, match="give real="):
        rank(replace(sets[0], recipe=None), both)


def test_a_protocol_may_bring_its_labeler_and_its_cases(ranked, monkeypatch) -> None:
    context, sets, *_ = ranked
    calls = []
    monkeypatch.setattr(module, "score", lambda one, _, training, *rest: calls.append((one, training)) or 50.0)
    online = Online((TEACHER,), average="logits", temperature=3.0)
    protocol = replace(PROTOCOL, labelers=(Hard(), online), cases=(When(most_ipc=2, epochs=7),))
    found = alone(replace(sets[0], recipe=None), context, protocol, rates=RATES, fraction=0.2)
    assert (found.row.labels, found.row.labeler, found.row.epochs) == ("online", "ConvNet-2/8, T 3", 7)
    assert {one.soft.kind for one, training in calls if training.augment is None} == {"soft"}
    assert {training.epochs for _, training in calls} == {7, 1}
    with pytest.raises(UserError, match="brings 2 labelers"):
        alone(sets, context, replace(protocol, labelers=(online, RECIPE.labeler)))
