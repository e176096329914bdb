"""Numbers go into a run's own metrics where they are on the pictures that it was made from, and nowhere else."""

from __future__ import annotations

import logging

import pytest

from gendistill.evaluation.keep import is_of
from gendistill.store import write_json
from gendistill.toys import ToyData
from gendistill.types import UserError

REAL = ToyData().open()


def run(folder, **real):
    write_json(folder / "run.json", {"provenance": {"real": real}})
    return folder


def test_data_are_known_by_their_pictures_whatever_they_are_called(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "gendistill")
    assert is_of(run(tmp_path, name="renamed", fingerprint=REAL.train.fingerprint), REAL)
    assert not caplog.records
    assert not is_of(run(tmp_path, name=REAL.name, fingerprint="another"), REAL)
    assert "made from other pictures" in caplog.text and "--to FILE" in caplog.text


def test_a_run_that_does_not_say_its_pictures_is_known_by_their_name(tmp_path):
    assert is_of(run(tmp_path, name=REAL.name), REAL) and is_of(run(tmp_path), REAL)
    assert not is_of(run(tmp_path, name="others"), REAL)


def test_a_folder_that_is_no_run_takes_none(tmp_path):
    assert not is_of(tmp_path, REAL)


def test_numbers_without_rows_are_damaged(tmp_path):
    write_json(run(tmp_path) / "metrics.json", {})
    with pytest.raises(UserError, match="has no rows"):
        is_of(tmp_path, REAL)


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_damaged_files_are_found_before_the_work(tmp_path, file):
    run(tmp_path)
    (tmp_path / file).write_text('{"rows": [')
    with pytest.raises(UserError, match=f"{file} is damaged"):
        is_of(tmp_path, REAL)
