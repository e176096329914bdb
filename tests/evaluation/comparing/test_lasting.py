"""What a folder of a comparison holds is not lost when it is written anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gendistill.evaluation.comparing.compare import compare
from gendistill.evaluation.comparing.page import write
from gendistill.types import UserError
from tests.evaluation.comparing.result_files import THEIRS, a_file, a_run, row


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


@pytest.mark.parametrize("prints", [(), ("ee",)])
def test_a_run_is_known_by_what_was_measured_whatever_it_is_called(tmp_path: Path, prints: tuple[str, ...]) -> None:
    to, random = tmp_path / "to", row(set="random_real", mean=40.0)
    a, b = a_run(tmp_path / "x/a", row()), a_run(tmp_path / "x/b", row(mean=47.0), random, prints=prints)
    write(compare([a, b], into=to), to)
    other = a_run(tmp_path / "y/b", row(mean=43.0), prints=[one * 2 for one in prints])
    for given in ([a, b, other], [a, b, other, to], [to, a, b, other]):
        found = [(one.run, one.mean) for one in compare(given, into=to).results]
        assert sorted(found) == [("a", 45.0), ("x/b", 40.0), ("x/b", 47.0), ("y/b", 43.0)]


def test_two_sets_of_one_name_are_two(tmp_path: Path) -> None:
    to, one = tmp_path / "to", a_run(tmp_path / "x/b", row(), row(set="random_real", mean=40.0), prints=["ee"])
    write(compare([one], into=to), to)
    other = a_run(tmp_path / "y/b", row(mean=47.0), row(set="random_real", mean=41.0), prints=["ff"])
    with pytest.raises(UserError, match=r"would lose .*: b \(hard labels, IPC 10\), random real"):
        compare([other], into=to)
    with pytest.raises(UserError, match="two results with hard labels and IPC 10 are called b: call one"):
        compare([other, to], into=to)
    found = compare([f"new={other}", to], into=to).results
    assert [(one.run, one.mean) for one in found] == [("new", 47.0), ("new", 41.0), ("b", 45.0), ("b", 40.0)]


@pytest.mark.parametrize("change", [{"bytes": None}, {"scores": []}, {"fingerprints": ["ff"]}, {"bytes": 24_001}])
def test_a_row_that_was_added_is_another_result_where_nothing_proves_the_same(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    mine = a_run(tmp_path / "mine", row(), prints=["ee"])
    a_file(tmp_path / "results.json", {**row(), "run": "theirs", **change})
    with pytest.raises(UserError, match="would lose .*: theirs"):
        compare([mine], into=tmp_path)
    assert [one.run for one in compare([mine, tmp_path], into=tmp_path).results] == ["mine", "theirs"]


def test_what_a_file_says_of_a_run_is_said_of_it_by_the_name_it_has_here(tmp_path: Path) -> None:
    mine = a_run(tmp_path / "runs/mine", row(), row(labels="soft", mean=47.0))
    ranking = {**row(labels="soft", mean=47.0), "run": "mine", "lrs": 0.3}
    for given in ([mine, a_file(tmp_path / "mine.json", ranking)], [f"ours={mine}", tmp_path / "mine.json"]):
        found = compare(given).results
        assert [one.lrs for one in found] == [None, 0.3] and len({one.run for one in found}) == 1
