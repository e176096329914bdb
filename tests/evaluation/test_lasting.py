"""What a folder of a comparison holds is not lost when it is written anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gendistill.evaluation.compare import compare
from gendistill.evaluation.compare_page import write
from gendistill.types import UserError
from tests.evaluation.result_files import THEIRS, a_file, a_run, row


def test_rows_that_were_added_are_not_lost(tmp_path: Path) -> None:
    mine, other, to = a_run(tmp_path / "mine", row()), a_run(tmp_path / "other", row(mean=47.0)), tmp_path / "to"
    found = compare([mine, other], into=to)
    write(found, to)
    assert compare([other, mine], into=to).results == found.results[::-1], "all of it is there"
    with pytest.raises(UserError, match=r"results.json would lose .*: mine \(hard labels, IPC 10\)\ngive .*to, too"):
        compare([other], into=to)
    told = json.loads((to / "results.json").read_text())
    told["rows"] += [{**THEIRS, "data": "pets, 2 classes, 8 × 8 RGB"}]
    (to / "results.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"would lose .*: theirs \(hard labels, whole sets\)\n"):
        compare([mine, other], into=to)
    a_run(tmp_path / "mine", row(mean=44.0))  # measured anew
    again = compare([mine, other, to], into=to)
    assert [(one.name, one.mean) for one in again.results] == [("mine", 44.0), ("other", 47.0), ("theirs", 43.0)]


def test_what_a_ranking_said_is_not_lost(tmp_path: Path) -> None:
    mine, to = a_run(tmp_path / "mine", row()), tmp_path / "to"
    write(compare([mine, a_file(tmp_path / "scores.json", {**row(), "run": "mine", "lrs": 0.3})]), to)
    with pytest.raises(UserError, match="would lose .*: mine"):
        compare([mine], into=to)
    assert compare([mine, to], into=to).results[0].lrs == 0.3


@pytest.mark.parametrize("text", ["", '{"rows": 3}', '{"name": "somebody"}'])
def test_what_is_no_file_of_results_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match="results.json is there and no file of results, so it is not overwritten: "):
        compare([a_run(tmp_path / "mine", row())], into=tmp_path)
