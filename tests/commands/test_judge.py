"""Commands that judge and compare: what they hand on and what they write; and where no command writes."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.data.digits import Digits
from gendistill.distilled import Distilled
from gendistill.evaluation.report import Report, Row
from gendistill.evaluation.sets.opened import Opened
from gendistill.nets.timm_classifier import TimmClassifier
from gendistill.toys import toy_context

ROW = Row(set="distilled", labels="hard", student="ConvNet-3", protocol="demo", epochs=1, ipc=1, split="test", mean=40.0,
          std=0.0, n=1, bytes=9, scores=(40.0,))  # fmt: skip


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """What `open_sets` and `evaluate` were called with, both replaced: a row of 40 %."""
    calls = []

    def open_sets(path, **words):
        own = isinstance(words["real"], Digits | None)
        data = (words["real"] or Digits(size=8)).open() if own else replace(Digits(size=8).open(), name="x")
        calls.append(SimpleNamespace(path=path, **words))
        return Opened([Distilled.of(data.train)], replace(toy_context(tmp_path / "cache"), real=data))

    def evaluate(opened, protocol, **words):
        vars(calls[-1]).update(words, protocol=protocol)
        return Report([ROW])

    monkeypatch.setattr("gendistill.evaluation.sets.opened.open_sets", open_sets)
    monkeypatch.setattr("gendistill.evaluation.evaluate.evaluate", evaluate)
    return calls


def contents(folder):
    """Everything in a folder, with the bytes of its files."""
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_evaluate_takes_a_source_and_a_protocol(judged, capsys, tmp_path):
    (tmp_path / "real").mkdir()
    words = ["evaluate", "some/set", "--device", "cpu", "students=2", "protocol.sets=3"]
    assert execute(cli, words) == 0
    assert execute(cli, [*words, "--protocol", "MATCHING", "--real", str(tmp_path / "real"), "--fidelity"]) == 0
    more = ["stress=Stress(most=20)", "--features", 'TimmClassifier("resnet18.a1_in1k")']
    assert execute(cli, [*words, "--protocol", "demo", "--real", "Digits(size=8)", *more]) == 0
    assert [call.features for call in judged] == [None, None, TimmClassifier("resnet18.a1_in1k")]
    assert execute(cli, [*words, "--features", "3"]) == 2
    assert [call.path for call in judged] == ["some/set"] * 3 and capsys.readouterr().out.count("40.0 (1)") == 3
    assert [type(call.real).__name__ for call in judged] == ["NoneType", "Folder", "Digits"]
    protocol = judged[1].protocol
    assert (protocol.name, protocol.students, protocol.sets) == ("matching line", 2, 3)
    assert [call.fidelity for call in judged] == [False, True, False] and judged[2].protocol.stress.most == 20


def test_a_number_that_is_said_goes_before_the_cases_of_a_protocol(judged):
    words = ["evaluate", "some/set", "--device", "cpu"]
    assert execute(cli, [*words, "--protocol", "MINIMAX", "training.epochs=300"]) == 0
    call = judged[0]
    assert {call.protocol.training_for(ipc, classes).epochs for ipc in (1, 10, 50) for classes in (10, 100)} == {300}
    assert execute(cli, [*words, "training.epochs=30", "full.epochs=2"]) == 0
    assert (judged[1].protocol.training.passes(10), judged[1].protocol.full.passes(10)) == (30, 2), "no least steps"


def test_evaluate_writes_what_compare_reads(judged, tmp_path, capsys):
    words = ["evaluate", "some/set", "--real", "Digits(size=8)", "--device", "cpu", "--to", str(tmp_path / "set.json")]
    assert execute(cli, words) == 0 and execute(cli, ["compare", str(tmp_path / "set.json")]) == 0
    told = capsys.readouterr().out
    assert "digits, 10 classes, 8 × 8 grey · ConvNet-3 · demo · test\n" in told and "\nset " in told
    assert "\n\nLeakage: Not stated" in told and "\n\nLeakage:\n  set: Not stated" in told, "by both commands"


def test_a_set_where_the_user_is_has_the_name_of_its_folder(judged, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert execute(cli, ["evaluate", ".", "--device", "cpu", "--to", "../set.json"]) == 0
    assert json.loads((tmp_path / "set.json").read_text())["run"] == "mine"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate", "a", "--to", "file/y.json"], "file/y.json cannot be written: {}/file: Not a directory; choose"),
        (["evaluate", "a", "--page", f"{'y' * 250}.html"], "File name too long; choose another place"),
        (["evaluate", "a", "--to", "file"], "file is there and no file of results, so it is not overwritten"),
        (
            ["evaluate", "a", "--page", "file"],
            "file is there and no page that gendistill wrote, so it is not overwritten",
        ),
        (["evaluate", "a", "--page", "site/compare.html"], "no page that gendistill wrote, so it is not overwritten"),
        (["compare", "a.json", "--to", "site"], "no page that gendistill wrote, so it is not overwritten"),
        (["rank", "a", "--to", "file/y.json"], "file/y.json cannot be written"),
        (["relabel", "a", "--budget", "1MB", "--out", "file/y"], "file/y cannot be written: {}/file: Not a directory"),
        (["relabel", "a", "--budget", "1MB", "--out", "site"], "site holds something that no earlier relabel wrote"),
        (["export", "a", "--to", "file/y"], "file/y cannot be written: {}/file: Not a directory; choose another place"),
        (["export", "a", "--to", "site"], "site holds something that no earlier export wrote (compare.html)"),
        (["export", "a", "--to", "site", "--imagefolder"], "site holds something that no earlier imagefolder wrote"),
        (["compare", "a.json", "--to", "file/y"], "file/y/results.json cannot be written"),
        (["compare", "a.json", "--to", "."], "results.json cannot be written: it is a folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(words, says, judged, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gendistill.exporting.export.load", lambda *given: pytest.fail("a set was read"))
    row = {"set": "a", "labels": "hard", "student": "ConvNet-3", "protocol": "demo", "mean": 40.0, "n": 1}
    (tmp_path / "a.json").write_text(json.dumps({"rows": [row]}))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "compare.html").write_text("<!doctype html>\nmine")
    (tmp_path / "results.json").mkdir()
    before = contents(tmp_path)
    assert execute(cli, words) == 2 and not judged
    told = capsys.readouterr()
    assert says.format(tmp_path) in told.err and told.out == ""
    assert contents(tmp_path) == before


def test_a_page_of_ours_is_written_anew(judged, tmp_path):
    words = [
        "evaluate",
        "some/set",
        "--real",
        "Digits(size=8)",
        "--device",
        "cpu",
        "--page",
        str(tmp_path / "page.html"),
    ]
    assert [execute(cli, words) for _ in range(2)] == [0, 0]


def a_set_of_others(file, place=0, more=()):
    """A .pt file with the picture of every digit at this place, and some more, as the words of a command line."""
    pictures = Digits(size=8).open().train
    few = torch.stack([*(pictures.where(index)[place] for index in range(10)), *(torch.tensor(at) for at in more)])
    file.parent.mkdir(exist_ok=True)
    torch.save({"images": pictures.stored(few).float() / 255, "labels": pictures.labels[few]}, file)
    return [str(file), "--real", "Digits(size=8)", "--device", "cpu"]


def test_results_of_another_set_of_that_name_are_not_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gendistill.evaluation.evaluate.measure", lambda *given, **words: Report([ROW]))
    sets = [a_set_of_others(tmp_path / name / "theirs.pt", place) for place, name in enumerate("ab")]
    one, other = (["evaluate", *words, "coresets=()", "--to", str(tmp_path / "theirs.json")] for words in sets)
    assert [execute(cli, one) for _ in range(2)] == [0, 0]
    monkeypatch.setattr("gendistill.evaluation.evaluate.make", lambda *given: pytest.fail("work was done"))
    assert execute(cli, other) == 2
    assert "results of another set that is called theirs.pt, too" in capsys.readouterr().err


def test_what_is_to_be_told_of_a_set_is_told_once(tmp_path, monkeypatch, capsys, caplog):
    """It is read once, also where its results go over those of before."""
    monkeypatch.setattr("gendistill.evaluation.evaluate.measure", lambda *given, **words: Report([ROW]))
    words = [
        "evaluate",
        *a_set_of_others(tmp_path / "uneven.pt", more=[0]),
        "coresets=()",
        "--to",
        str(tmp_path / "to"),
    ]
    for _ in range(2):
        caplog.clear()
        assert execute(cli, words) == 0
        assert caplog.text.count("has 1 to 2 pictures a class") == 1


def test_rank_scores_a_set_of_others_for_compare(tmp_path, monkeypatch, capsys):
    least = [
        "students=1",
        "sets=1",
        "training.epochs=1",
        "training.least_steps=0",
        "full.epochs=1",
        "full.least_steps=0",
    ]
    more = ["--rates", "0.01", "student=ConvNet(depth=2, width=8)", *least, "--to", str(tmp_path / "scores.json")]
    words = ["rank", *a_set_of_others(tmp_path / "theirs.pt"), *more]
    assert execute(cli, words) == 0
    assert capsys.readouterr().out.startswith("ConvNet-2/8: LRS ")
    (row,) = json.loads((tmp_path / "scores.json").read_text())["rows"]
    assert (row["run"], row["n"], row["ranking"]["rates"]["random"]) == ("theirs.pt", 1, [0.01])
    assert execute(cli, ["compare", str(tmp_path / "scores.json")]) == 0 and "LRS" in capsys.readouterr().out
    assert execute(cli, [*words, "--rates", "fast"]) == 2 and "--rates" in capsys.readouterr().err
    monkeypatch.setattr("gendistill.evaluation.ranking.rank.rank", lambda *given, **words: pytest.fail("work was done"))
    assert execute(cli, ["rank", *a_set_of_others(tmp_path / "other" / "theirs.pt", 1), *more]) == 2
    assert "results of another set that is called theirs.pt, too" in capsys.readouterr().err


def test_compare_prints_a_table_and_writes_a_page(tmp_path, capsys):
    told = {"labels": "hard", "student": "ConvNet-3", "protocol": "demo", "ipc": 10, "n": 2, "bytes": 1000}
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    for file, mean in ((theirs, 40.0), (ours, 45.0)):
        row = {**told, "set": file.stem, "mean": mean, "scores": [mean - 1, mean + 1], "seeds": [0, 1]}
        file.write_text(json.dumps({"data": "pets", "rows": [row]}))
    words = ["compare", f"them={theirs}", str(ours), "--to", str(tmp_path / "to")]
    assert execute(cli, words) == 0 and capsys.readouterr().out and execute(cli, words) == 0, "over its own page, too"
    told = capsys.readouterr().out
    assert "theirs − ours, hard labels, IPC 10: -5.0" in told and told.endswith(
        f"\n{tmp_path / 'to' / 'compare.html'}\n"
    )
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["compare.html", "results.json"]
    assert [row["run"] for row in json.loads((tmp_path / "to" / "results.json").read_text())["rows"]] == [
        "them",
        "ours",
    ]
