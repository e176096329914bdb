"""What was measured is read as it was written, what cannot be is refused, and results go over those of their own set alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gendistill.evaluation.compare import compare
from gendistill.evaluation.report import Report, Row
from gendistill.evaluation.results import check_own, of_report, read
from gendistill.toys import ToyData
from gendistill.types import UserError
from tests.evaluation.result_files import SCORES, THEIRS, TRAINING, a_file, a_run, row


def test_a_run_says_what_its_files_say(tmp_path: Path) -> None:
    (one,) = read(a_run(tmp_path / "mine", row(), notes=["3 test pictures are training pictures."]), "mine")
    assert (one.run, one.data, one.training) == ("mine", "pets, 2 classes, 8 × 8 RGB", TRAINING)
    assert one.leakage == "Nobody saw them. 3 test pictures are training pictures."
    assert (one.name, one.by_seed) == ("mine", {0: 44.0, 1: 46.0, 2: 45.0})
    assert read(tmp_path / "mine" / "metrics.json", "mine") == [one]


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
