"""Numbers go into a run's own metrics where they are on the pictures that it was made from, or on the first if on none."""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.data.class_names import ClassNames
from gendistill.distilled import Distilled
from gendistill.evaluation import keep as module
from gendistill.evaluation.keep import kept_as, merged
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Report
from gendistill.experiments.experiment import run
from gendistill.images import Subset
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.system.store import write_json
from gendistill.toys import Toy, ToyData, toy_context
from gendistill.types import UserError

REAL = ToyData().open()
WORDS = "toy, 3 classes, 8 × 8 grey"


def folder_of(folder, **metrics):
    """The folder of a run with these numbers."""
    write_json(folder / "run.json", {})
    if metrics:
        write_json(folder / "metrics.json", metrics)
    return folder


@pytest.fixture
def said(tmp_path):
    """How numbers on the toy's pictures are kept by a run that was made from these real pictures, as it tells."""

    def said(folder, **real):
        made = replace(Distilled.of(Subset(REAL.train, torch.tensor([0]))), origin={"real": real} if real else {})
        return kept_as(made, folder, toy_context(tmp_path / "cache"))

    return said


def row(**changes):
    return {"set": "distilled", "labels": "hard", "student": "s", "protocol": "p", "epochs": 1, "ipc": 1, "split": "test",
            "mean": 1.0, "std": 0.0, "n": 1, "bytes": 1, **changes}  # fmt: skip


def test_data_are_known_by_their_pictures_whatever_they_are_called(said, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "gendistill")
    folder = folder_of(tmp_path)
    assert said(folder, name="renamed", fingerprint=REAL.train.fingerprint) == ""
    assert not caplog.records
    assert said(folder, name="pets", fingerprint="another") is None
    assert "was made from pets" in caplog.text and "--to FILE" in caplog.text


@pytest.mark.parametrize("real", [{}, {"name": "names", "fingerprint": "of none", "pictures": 0}])
def test_a_run_that_was_made_from_nothing_known_keeps_to_the_first_data(said, tmp_path, real, caplog):
    caplog.set_level(logging.WARNING, "gendistill")
    assert said(folder_of(tmp_path), **real) == WORDS
    assert said(folder_of(tmp_path, rows=[], data="pets"), **real) == WORDS, "it has no numbers yet"
    assert said(folder_of(tmp_path, rows=[row()], data=WORDS), **real) == WORDS
    assert not caplog.records
    assert said(folder_of(tmp_path, rows=[row()], data="pets"), **real) is None
    assert "is judged by pets" in caplog.text


def test_a_run_where_nothing_can_be_written_takes_none(said, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "gendistill")
    monkeypatch.setattr(os, "access", lambda *given: False)
    assert said(folder_of(tmp_path)) is None and "--to FILE keeps them" in caplog.text


def test_evaluations_that_end_together_keep_the_rows_of_both(tmp_path, monkeypatch):
    folder, before = folder_of(tmp_path), merged
    monkeypatch.setattr(module, "page", lambda *given, **words: None)

    def slowly(*given):
        time.sleep(0.1)
        return before(*given)

    monkeypatch.setattr(module, "merged", slowly)
    made, reports = Distilled.of(REAL.train), [Report.from_json({"rows": [row(protocol=str(n))]}) for n in range(3)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda report: module.keep(report, made, folder), reports))
    assert {one.protocol for one in module.numbers(folder).rows} == {"0", "1", "2"}


def test_a_folder_that_is_no_run_takes_none(said, tmp_path):
    assert said(tmp_path) is None


def test_numbers_without_rows_are_damaged(said, tmp_path):
    with pytest.raises(UserError, match="has no rows"):
        said(folder_of(tmp_path, seconds={}))


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_damaged_files_are_found_before_the_work(said, tmp_path, file):
    folder_of(tmp_path)
    (tmp_path / file).write_text('{"rows": [')
    with pytest.raises(UserError, match=f"{file} is damaged"):
        said(tmp_path)


def test_a_run_from_names_alone_has_the_numbers_on_the_first_pictures_that_there_are(tmp_path, capsys):
    few = Training(epochs=1, batch=8)
    protocol = Protocol(name="tiny", student=ConvNet(depth=2, width=8), training=few, full=few, students=1)
    names = ClassNames(tuple(f"={digit}" for digit in range(10)), size=8, channels=1)
    folder = run(Recipe(real=names, prior=Toy(), steering=(Sample(steps=2),), ipc=1), protocol, tmp_path / "run").folder
    assert "Not measured" in (folder / "report.html").read_text()
    words = ["evaluate", str(folder), "--real", "Digits(size=8)", "--protocol", repr(protocol), "--device", "cpu"]
    assert execute(cli, words) == 0
    found, page = json.loads((folder / "metrics.json").read_text()), (folder / "report.html").read_text()
    assert {"distilled", "random_real"} < {one["set"] for one in found["rows"]}
    assert found["data"].startswith("digits") and f"Judged by {found['data']}." in page and "Not measured" not in page
    told = capsys.readouterr().out
    assert str(folder / "report.html") in told and "Leakage: No real picture had a part in the making." in told
    assert execute(cli, ["compare", str(folder)]) == 0
    assert f"{found['data']} · ConvNet-2/8 · tiny · test" in capsys.readouterr().out
    write_json(folder / "metrics.json", {**found, "data": "pets"})
    before = (folder / "metrics.json").read_bytes()
    assert execute(cli, words) == 0 and str(folder / "report.html") not in capsys.readouterr().out
    assert (folder / "metrics.json").read_bytes() == before
