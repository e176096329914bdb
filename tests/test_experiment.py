"""A run directory holds everything, resumes, and refuses what is not its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from gendistill import experiment
from gendistill.distilled import load
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Row
from gendistill.experiment import run
from gendistill.labelers.relabel import Relabel
from gendistill.nets.convnet import ConvNet
from gendistill.pipeline import find_pipeline
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.training import Training
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

PROTOCOL = Protocol(name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=1, batch=8), sets=2, students=1,
                    full=Training(epochs=1, batch=8))  # fmt: skip
RECIPE = Recipe(
    real=ToyData(),
    prior=Toy(),
    steering=(Sample(steps=2),),
    labeler=Relabel((TEACHER,), average="logits"),
    ipc=2,
    block=2,
)


def quiet(items, *_):
    return items


@pytest.fixture
def done(tmp_path):
    return run(RECIPE, PROTOCOL, tmp_path / "out", command="gendistill run toy", progress=quiet)


def test_everything_is_there(done):
    there = {path.name for path in done.folder.iterdir() if not path.name.startswith(".")}
    assert there == {"recipe.py", "run.json", "sets", "dataset", "report.html", "metrics.json", "run.log", "log.jsonl"}
    metrics = json.loads((done.folder / "metrics.json").read_text())
    names = {one.name for one in dataclasses.fields(Row)}
    assert all(set(row) == names and len(row["scores"]) == row["n"] for row in metrics["rows"]) and metrics["seconds"]
    assert {"distil", "evaluate", "export"} <= set(metrics["seconds"])
    assert "gendistill run toy" in (done.folder / "report.html").read_text()
    assert all(json.loads(line)["message"] for line in (done.folder / "log.jsonl").read_text().splitlines())
    about = json.loads((done.folder / "run.json").read_text())
    assert about["versions"]["torch"] and about["provenance"]["leakage"]


def test_the_set_loads_where_gendistill_cannot_be_imported(done):
    program = (
        "import sys; sys.modules['gendistill'] = None\n"
        "import datasets; d = datasets.load_dataset(sys.argv[1], split='train')\n"
        "print(len(d), d.features['label'].names, d[0]['image'].size, len(d[0]['log_probs']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(done.folder / "dataset")], capture_output=True, text=True
    )
    assert found.stdout.strip().endswith("6 ['class 0', 'class 1', 'class 2'] (8, 8) 3"), found.stderr[-500:]


def test_a_run_that_is_there_is_not_touched_unasked(done):
    before = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="--resume"):
        run(RECIPE, PROTOCOL, done.folder, progress=quiet)
    with pytest.raises(UserError, match="ipc=2"):
        run(replace(RECIPE, ipc=1), PROTOCOL, done.folder, resume=True, progress=quiet)
    assert {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()} == before


def test_a_finished_run_resumes_to_itself(done):
    parquet = next((done.folder / "dataset" / "data").iterdir())
    before, rows = parquet.read_bytes(), done.report.rows
    again = run(RECIPE, PROTOCOL, done.folder, resume=True, progress=quiet)
    assert parquet.read_bytes() == before and again.report.rows == rows


def test_overwrite_begins_anew_but_only_over_a_run(done, tmp_path):
    run(replace(RECIPE, ipc=1), PROTOCOL, done.folder, overwrite=True, progress=quiet)
    assert json.loads((done.folder / "metrics.json").read_text())["rows"][0]["ipc"] == 1
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(UserError, match="no run of gendistill"):
        run(RECIPE, PROTOCOL, tmp_path / "photos", overwrite=True, progress=quiet)
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"sun"


def test_a_failure_before_any_work_leaves_nothing(tmp_path):
    class Empty(ToyData):
        """Real data whose last class has no pictures."""

        def open(self):
            data = super().open()
            data.train.labels[data.train.labels == 2] = 1
            return data

    with pytest.raises(UserError, match="class 2"):
        run(replace(RECIPE, real=Empty()), PROTOCOL, tmp_path / "out", progress=quiet)
    assert not (tmp_path / "out").exists()


def test_two_processes_do_not_share_a_directory(tmp_path):
    (tmp_path / "out").mkdir()
    with (
        experiment.alone(tmp_path / "out"),
        pytest.raises(UserError, match="another process"),
        experiment.alone(tmp_path / "out"),
    ):
        pass


def test_missing_test_pictures_are_noticed_before_any_work(tmp_path, monkeypatch):
    opened = ToyData.open
    monkeypatch.setattr(ToyData, "open", lambda self: replace(opened(self), test=None))
    with pytest.raises(UserError, match="Validation"):
        run(RECIPE, PROTOCOL, tmp_path / "out", progress=quiet)
    assert not (tmp_path / "out").exists()


def test_a_run_of_another_seed_loads(tmp_path):
    done = run(replace(RECIPE, seed=7), replace(PROTOCOL, sets=1), tmp_path / "out", progress=quiet)
    assert load(done.folder).ids.shape == (6, 3)


def test_a_resumed_run_keeps_the_command_that_began_it(done):
    run(RECIPE, PROTOCOL, done.folder, resume=True, command="another", progress=quiet)
    assert json.loads((done.folder / "run.json").read_text())["command"] == "gendistill run toy"


def test_the_recipe_that_is_written_down_is_the_run_again(done):
    again = find_pipeline(str(done.folder / "recipe.py"))
    assert (again.recipe, again.protocol) == (RECIPE, PROTOCOL)
