"""A run directory holds everything, resumes, and refuses what is not its own."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.config.pipeline import find_pipeline
from gendistill.evaluation.keep import keep
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Report, Row
from gendistill.experiments import experiment
from gendistill.experiments.experiment import run, spell
from gendistill.exporting.export import export, imagefolder
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained
from gendistill.recipe import Recipe
from gendistill.running import distill as runs
from gendistill.running.load import load
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
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


TEXT = spell(RECIPE, PROTOCOL)


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


def test_a_run_is_exported_with_what_it_knows_from_python_as_from_the_command_line(done, tmp_path):
    keep(replace(done.report, rows=[replace(done.report.rows[0], protocol="another")]), load(done.folder), done.folder)
    folders = [export(done.folder, tmp_path / "ours"), tmp_path / "theirs"]
    assert execute(cli, ["export", str(done.folder), "--to", str(folders[1])]) == 0
    ours, theirs = ((folder / "README.md").read_text() for folder in folders)
    assert ours == theirs and "## Results" in ours and "another" in ours and "gendistill run toy" in ours
    assert "## Results" not in (export(load(done.folder), tmp_path / "set") / "README.md").read_text()
    said = export(str(done.folder), tmp_path / "ours", report=Report([]), provenance={"name": "mine"}) / "README.md"
    assert "# mine" in said.read_text() and "## Results" not in said.read_text()
    files = [imagefolder(done.folder, tmp_path / "files"), imagefolder(load(done.folder), tmp_path / "others")]
    assert len({tuple(sorted(path.name for path in folder.rglob("*.png"))) for folder in files}) == 1


def test_a_run_prints_as_what_it_is_worth_and_where_it_is(done):
    assert repr(done) == str(done) == f"{done.report}\n\n{done.folder / 'dataset'}\n{done.folder / 'report.html'}"


def test_a_device_that_is_picked_is_noted_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    done = run(RECIPE, PROTOCOL, tmp_path / "out", progress=quiet)
    assert json.loads((done.folder / "run.json").read_text())["device"] == "cpu"
    assert run(RECIPE, PROTOCOL, done.folder, resume=True, device="cpu", progress=quiet).report.rows == done.report.rows


def test_a_finished_run_resumes_to_itself(done):
    parquet = next((done.folder / "dataset" / "data").iterdir())
    before, rows = parquet.read_bytes(), done.report.rows
    again = run(RECIPE, PROTOCOL, done.folder, resume=True, progress=quiet)
    assert parquet.read_bytes() == before and again.report.rows == rows


def test_overwrite_begins_anew_but_only_over_a_run(done, tmp_path):
    run(replace(RECIPE, ipc=1), PROTOCOL, done.folder, overwrite=True, progress=quiet)
    assert json.loads((done.folder / "metrics.json").read_text())["rows"][0]["ipc"] == 1
    (done.folder / "notes.md").write_text("mine")
    with pytest.raises(UserError, match=r"no run wrote \(notes.md\)"):
        run(RECIPE, PROTOCOL, done.folder, overwrite=True, progress=quiet)
    assert (done.folder / "metrics.json").exists()


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


def test_students_and_teachers_that_pictures_cannot_pass_are_refused_before_any_work(tmp_path):
    deep = ConvNet(depth=5)
    for change in ({"student": deep}, {"also": (deep,)}, {"labelers": (Relabel((Trained(deep),), average="logits"),)}):
        with pytest.raises(UserError, match="ConvNet-5 halves pictures 5 times"):
            run(RECIPE, replace(PROTOCOL, **change), tmp_path / "out", progress=quiet)
    assert not (tmp_path / "out").exists()


def test_numbers_that_were_added_to_a_run_stay_when_it_is_resumed(done):
    (first, *_) = done.report.rows
    keep(replace(done.report, rows=[replace(first, protocol="another")]), load(done.folder), done.folder)
    again = run(RECIPE, PROTOCOL, done.folder, resume=True, progress=quiet)
    assert [row.protocol for row in again.report.rows] == [row.protocol for row in done.report.rows] + ["another"]
    kept = json.loads((done.folder / "metrics.json").read_text())["rows"]
    assert [row["protocol"] for row in kept] == [row.protocol for row in again.report.rows]
    assert "another" in (done.folder / "report.html").read_text()


def test_room_is_asked_for_every_set_that_is_not_there(tmp_path, monkeypatch):
    data, need = RECIPE.real.open(), []
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda path: type("Usage", (), {"free": need[-1]})())
    each = 2 * 3 * 64
    for count in (1, 100):
        need.append((16 << 20) + (2 * count + 1) * each)
        runs.check_room(RECIPE, data, tmp_path, count)
        need.append(need[-1] - 1)
        with pytest.raises(UserError, match=f"^{6 * count} pictures"):
            runs.check_room(RECIPE, data, tmp_path, count)


def test_a_finished_run_asks_for_no_room(done, monkeypatch):
    monkeypatch.setattr(experiment, "check_room", lambda *given: pytest.fail("no set is missing"))
    run(RECIPE, PROTOCOL, done.folder, resume=True, progress=quiet)


def test_a_disk_that_is_full_when_a_run_begins_is_told(tmp_path, monkeypatch):
    def full(*given, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gendistill.system.locks.FileLock", full)
    with pytest.raises(UserError, match="no room left"):
        run(RECIPE, PROTOCOL, tmp_path / "out", progress=quiet)


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


MINE = '''"""Mine (Doe, 2024), https://example.org/mine."""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.evaluation.protocols import SCREENING
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData


@dataclass(frozen=True)
class Brief(Sample):
    """Two steps."""

    steps: int = 2


recipe = Recipe(real=ToyData(), prior=Toy(), steering=(Brief(cfg=1.5),), ipc=2)
protocol = SCREENING
'''


@pytest.mark.parametrize("name", ["mine", "recipe"])
def test_parts_of_a_pipeline_are_written_down_with_the_recipe(name, tmp_path):
    (tmp_path / f"{name}.py").write_text(MINE)
    found = find_pipeline(str(tmp_path / f"{name}.py"))
    text = spell(replace(found.recipe, ipc=3), found.protocol)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.py").write_text(text)
    (tmp_path / f"{name}.py").unlink()
    for module in [module for module in sys.modules if module.startswith("gendistill_pipeline_")]:
        del sys.modules[module]
    again = find_pipeline(str(tmp_path / "out" / "recipe.py"))
    assert repr(again.recipe) == repr(replace(found.recipe, ipc=3)) and again.protocol == found.protocol
    assert again.recipe.steering[0].steps == 2 and again.title == found.title
    assert spell(again.recipe, again.protocol) == text, "what it wrote cannot be resumed by it"
