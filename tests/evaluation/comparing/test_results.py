"""What was measured is read as it was written, what cannot be is refused, and results go over those of their own set alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.comparing.compare import compare
from gendistill.evaluation.comparing.results import check_own, check_same, fingerprints_of, of_report, read
from gendistill.evaluation.report import Report, Row
from gendistill.images import Subset
from gendistill.toys import ToyData
from gendistill.types import UserError
from tests.evaluation.comparing.result_files import SCORES, THEIRS, TRAINING, a_file, a_run, row


def test_a_run_says_what_its_files_say(tmp_path: Path) -> None:
    (one,) = read(a_run(tmp_path / "mine", row(), notes=["3 test pictures are training pictures."]), "mine")
    assert (one.run, one.data, one.training) == ("mine", "pets, 2 classes, 8 × 8 RGB", TRAINING)
    assert one.leakage == "Nobody saw them. 3 test pictures are training pictures."
    assert (one.name, one.by_seed) == ("mine", {0: 44.0, 1: 46.0, 2: 45.0})
    assert read(tmp_path / "mine" / "metrics.json", "mine") == [one]
    told = a_run(tmp_path / "mine", row(), prints=["ff", "ee"])
    assert [one.fingerprints for one in read(told, "mine")] == [("ee", "ff")], "of its sets, whatever their order"


def test_accuracies_below_one_percent_are_welcome_where_there_are_many_classes(tmp_path: Path) -> None:
    low = {**THEIRS, "mean": 0.4, "scores": [0.3, 0.4, 0.5], "std": 0.08, "data": "ImageNet-1K, 1000 classes"}
    assert read(a_file(tmp_path / "theirs.json", low), "theirs")[0].std == 0.08, "over n, as some report it"
    assert read(a_run(tmp_path / "mine", row(mean=0.5, scores=[0.5], std=0.0, held_out="aaaa")), "mine")[0].mean == 0.5


def test_results_of_a_set_go_over_those_of_before_only(tmp_path: Path) -> None:
    report = Report([Row(**{**row(), "scores": tuple(SCORES)})])
    file = tmp_path / "them.json"
    file.write_text(json.dumps(of_report(report, "them", ToyData().open())))
    check_own(file, "them", ranked=False)
    for run, ranked in (("others", False), ("them", True)):
        with pytest.raises(UserError, match="them.json would lose other results, them: write into another file"):
            check_own(file, run, ranked)
    check_own(tmp_path / "new.json", "them", ranked=False)
    with pytest.raises(UserError, match="metrics.json is a run's own"):
        check_own(a_run(tmp_path / "them", row()) / "metrics.json", "them", ranked=False)
    with pytest.raises(UserError, match="would lose other results, theirs"):
        check_own(a_file(file, THEIRS, run="them"), "them", ranked=False)


def of_each_class(place: int) -> Distilled:
    """The picture of every class at this place."""
    train = ToyData().open().train
    return Distilled.of(Subset(train, torch.stack([train.where(index)[place] for index in range(3)])))


def test_results_go_over_those_of_the_same_set_alone(tmp_path: Path) -> None:
    (mine, other), data, file = map(of_each_class, (0, 1)), ToyData().open(), tmp_path / "them.json"
    report = Report([Row(**{**row(ipc=7), "scores": tuple(SCORES)})])
    file.write_text(json.dumps({"fingerprints": fingerprints_of([mine]), **of_report(report, "them", data)}))
    check_same(file, "them", [mine], replace(data, name="other data"))
    for made in ([other], [mine, other]):
        with pytest.raises(
            UserError, match="another set that is called them, too .its pictures or classes are others.*wr"
        ):
            check_same(file, "them", made, data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, ""),
        ({"set": "random_real", "ipc": 2, "bytes": 7}, ""),
        ({"labels": "soft", "labeler": "2 teachers, T 4", "bytes": 7}, ""),
        ({"labels": "soft"}, "labels soft, not hard"),
        ({"ipc": 2}, "ipc 2, not 1"),
        ({"bytes": 7}, "bytes 7, not "),
        ({"sets": 3}, "sets 3, not 1"),
        ({"split": "val"}, "split val, not test"),
        ({"data": "toys"}, "data toys, not toy, 3 classes"),
    ],
)
def test_results_that_do_not_say_their_set_must_agree_with_it(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    mine, data = of_each_class(0), ToyData().open()
    known = {"ipc": 1, "bytes": sum(mine.sizes.values()), "data": "toy, 3 classes, 8 × 8 grey"}
    file = a_file(tmp_path / "them.json", {**row(), **known, **change}, run="them")
    if not says:
        check_same(file, "them", [mine], data)
    else:
        with pytest.raises(UserError, match=f"another set that is called them, too .*{says}"):
            check_same(file, "them", [mine], data)


def test_an_empty_file_of_results_holds_nothing_to_lose(tmp_path: Path) -> None:
    check_own(a_file(tmp_path / "them.json"), "them", ranked=False)
    compare([a_run(tmp_path / "mine", row())], into=a_file(tmp_path / "results.json").parent)
    with pytest.raises(UserError, match="holds no accuracy"):
        compare([tmp_path / "them.json"])


def test_an_evaluation_of_a_set_of_others_is_a_file_of_results(tmp_path: Path) -> None:
    report = Report([Row(**{**row(), "scores": tuple(SCORES)})], notes=("The teacher saw them.",))
    (tmp_path / "them.json").write_text(json.dumps(of_report(report, "them", ToyData().open())))
    (one,) = read(tmp_path / "them.json", "ignored")
    assert one.seeds == (0, 1, 2), "students are counted from 0"
    assert (one.name, one.data, one.leakage) == ("them", "toy, 3 classes, 8 × 8 grey", "The teacher saw them.")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean": None}, "row 1 of .* does not say mean; a row needs set, labels, student, protocol, mean, n"),
        ({"set": ""}, "does not say set"),
        ({"mean": 450}, "says mean = 450; it must be a percentage, 0 to 100"),
        ({"mean": math.nan}, "says mean = NaN; it must be a percentage"),
        ({"n": 2.5}, "says n = 2.5; it must be a whole number, 1 to 10.18"),
        ({"n": True}, "says n = true"),
        ({"bytes": 10**400}, "says bytes = 1.*it must be a whole number, 1 to"),
        ({"labels": "SOFT!"}, 'says labels = "SOFT!"; it must be hard or soft or views or online'),
        ({"scores": [33.0, 43.0, 53.0], "std": 0.1}, "says std = 0.1, and its scores have 10: one of them is wrong"),
        ({"mean": 0.45, "scores": [0.44, 0.46, 0.45]}, "says mean = 0.45, and accuracies are in percent: .* write 45"),
        ({"bytes": "24 kB"}, 'says bytes = "24 kB"; it must be a whole number'),
        ({"scores": [43.0, 43.0]}, "says n = 3 and gives 2 scores"),
        ({"scores": [41.0, 43.0, 42.0]}, "says mean = 43, and its scores have 42: one of them is wrong"),
        ({"scores": [43.0] * 3, "seeds": [1, 1, 2]}, "one of its own for each"),
        ({"per_class": {"cat": 120}}, "says per_class"),
        ({"lrs": 28.7}, "says lrs = 28.7; it must be a number, 0 to 1"),
        ({"published": "yes", "rule": "best"}, "true or false"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(a_file(tmp_path / "theirs.json", {**THEIRS, **change}), "theirs")


def test_what_holds_no_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(UserError, match="gendistill evaluate .* measures a set of others"):
            compare([place])
    begun = a_run(tmp_path / "begun")
    with pytest.raises(UserError, match="holds no accuracy: `gendistill evaluate"):
        compare([begun])
    (begun / "metrics.json").unlink()
    with pytest.raises(
        UserError, match="is not evaluated yet: `gendistill evaluate .*begun` does it, or go on with .*--resume"
    ):
        compare([begun])
    (begun / "relabel.json").write_text("{}")
    with pytest.raises(UserError, match="`gendistill evaluate .*begun` does it$"):
        compare([begun])
    for text, says in (("{", "is no JSON"), ("[1]", "holds no JSON object"), ('{"rows": 1}', 'has no list of "rows"')):
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(UserError, match=f'{says}.*a file of results is JSON such as {{"rows"'):
            compare([tmp_path / "wrong.json"])
    (tmp_path / "wrong.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no JSON"):
        compare([tmp_path / "wrong.json"])
    with pytest.raises(UserError, match="give runs"):
        compare([])
