"""Whose a folder is: what a run may have, go on with, or overwrite, and what it leaves where it is."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from gendistill.evaluation.protocols import SCREENING
from gendistill.experiments import run_folder
from gendistill.experiments.experiment import spell
from gendistill.experiments.run_folder import begin, look_at
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.types import UserError

RECIPE = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=2),), ipc=2)
TEXT = spell(RECIPE, SCREENING)


@pytest.mark.parametrize("names", [("holiday.jpg",), ("movie.mkv.part",), ("recipe.py",), ("recipe.py", "run.json")])
@pytest.mark.parametrize("asked", [{}, {"resume": True}, {"overwrite": True}])
def test_what_is_no_run_is_refused(names, asked, tmp_path):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="no run of gendistill"):
        look_at(tmp_path, TEXT, **{"resume": False, "overwrite": False, **asked})


def test_a_run_that_was_killed_at_its_beginning_is_begun_anew(tmp_path):
    for name in (".recipe.py.x1.part", ".run.json.x2.part", ".lock-0"):
        (tmp_path / name).touch()
    look_at(tmp_path, TEXT, False, False)
    (tmp_path / "recipe.py").write_text(TEXT)
    look_at(tmp_path, TEXT, False, False)
    begin(tmp_path, TEXT, False)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.py", "run.json", ".lock-0"}


def begun(folder, **entries):
    """A folder as a run leaves it that was killed early."""
    (folder / "sets" / "seed-0").mkdir(parents=True)
    (folder / "sets" / "seed-0" / "identity").write_text("earlier")
    begin(folder, TEXT, False, **entries)


@pytest.mark.parametrize("moved", range(4))
def test_an_overwriting_that_was_killed_is_gone_on_with(moved, tmp_path, monkeypatch):
    begun(tmp_path)
    left = moved

    def killed(path):
        raise KeyboardInterrupt

    def rename(path, target):
        nonlocal left
        left -= 1
        return killed(path) if left < 0 else os.rename(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(run_folder.Path, "rename", rename)
        patched.setattr(run_folder.shutil, "rmtree", killed)
        begin(tmp_path, TEXT, True)
    for asked in ((True, False), (False, True), (False, False)):
        look_at(tmp_path, TEXT, *asked)
    begin(tmp_path, TEXT, False)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.py", "run.json"}


def test_a_link_to_a_directory_is_overwritten_in_its_place(tmp_path):
    begun(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    look_at(tmp_path / "link", TEXT, False, True)
    begin(tmp_path / "link", TEXT, True)
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "real").iterdir()} == {"recipe.py", "run.json"}


def test_a_place_that_can_be_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for place, says in (("file", "is a file"), ("file/below", "file is a file"), ("dangling", "a link to nothing")):
        with pytest.raises(UserError, match=says):
            look_at(tmp_path / place, TEXT, False, False)


def test_a_run_is_resumed_with_the_arithmetic_it_was_begun_with(tmp_path):
    begun(tmp_path, device="cuda:0", dtype="float32")
    look_at(tmp_path, TEXT, True, False, device="cuda:1", dtype="float32")
    with pytest.raises(UserError, match="--dtype float32"):
        look_at(tmp_path, TEXT, True, False, device="cuda", dtype="bfloat16")
    with pytest.raises(UserError, match="--device cuda,"):
        look_at(tmp_path, TEXT, True, False, device="cpu", dtype="float32")


def test_a_run_of_another_protocol_is_told_how_to_judge_its_sets(tmp_path):
    begun(tmp_path)
    other = spell(RECIPE, replace(SCREENING, students=SCREENING.students + 1))
    with pytest.raises(
        UserError,
        match=f"another protocol; it differs(.|\n)*`gendistill evaluate {re.escape(str(tmp_path))} --protocol",
    ):
        look_at(tmp_path, other, True, False)
    with pytest.raises(UserError, match="another recipe") as refused:
        look_at(tmp_path, spell(replace(RECIPE, ipc=3), SCREENING), True, False)
    assert "gendistill evaluate" not in str(refused.value)
