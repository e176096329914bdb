"""Pipelines are found by name or path, and listed without being run."""

from __future__ import annotations

import pytest

from gendistill.config import pipeline
from gendistill.config.pipeline import find_pipeline, list_pipelines
from gendistill.types import UserError

WHOLE = '"""A method (Doe, 2024), https://example.org/a.\n\nMore."""\nrecipe, protocol = 1, 2\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in {
        "__init__": "", "minimax": WHOLE, "mgd3": WHOLE, "half": '"""Half."""\nrecipe = 1\n',
        "broken": '"""Broken."""\nraise RuntimeError("ours")\n',
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(pipeline, "folder", lambda: tmp_path)
    return tmp_path


def test_listing_reads_titles_and_runs_nothing(folder):
    assert [listed.name for listed in list_pipelines()] == ["broken", "half", "mgd3", "minimax"]
    assert list_pipelines()[2].title == "A method (Doe, 2024), https://example.org/a."


def test_a_pipeline_is_found_by_name_and_by_path(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "random.py").write_text(WHOLE)
    for found in (find_pipeline("mgd3"), find_pipeline(str(elsewhere / "random.py"))):
        assert (found.recipe, found.protocol) == (1, 2)
        assert found.doc.endswith("More.")
    import random

    assert random.__file__ != str(elsewhere / "random.py")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("minimx", "there is no pipeline 'minimx'; did you mean 'minimax'?\npipelines: broken, half, mgd3, minimax"),
        ("zzz", "there is no pipeline 'zzz'\npipelines: broken"),
        ("no/such/file.py", "there is no file no/such/file.py"),
        ("half", "half.py defines no protocol; a pipeline states both"),
    ],
)
def test_what_is_no_pipeline_is_told(folder, name, says):
    with pytest.raises(UserError) as error:
        find_pipeline(name)
    assert says in str(error.value)


def test_an_error_inside_a_pipeline_is_not_the_users(folder):
    with pytest.raises(RuntimeError, match="ours"):
        find_pipeline("broken")


def test_an_installed_wheel_carries_them_inside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PACKAGE", tmp_path / "gendistill")
    assert pipeline.folder() == tmp_path / "pipelines"
    (tmp_path / "gendistill" / "pipelines").mkdir(parents=True)
    assert pipeline.folder() == tmp_path / "gendistill" / "pipelines"


def test_every_real_pipeline_says_what_it_is():
    found = list_pipelines()
    assert {"demo", "random_real", "diffusion"} <= {listed.name for listed in found}
    assert all(listed.title.endswith(".") and "gendistill run" in listed.doc for listed in found)
