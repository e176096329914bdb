"""What Python users meet first: names that README gives, and what a notebook shows of what comes back."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import gendistill
from gendistill.evaluation.comparing.compare import Comparison
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.report import Report, Row
from gendistill.experiments.plan import Line, Plan
from gendistill.labelers.hard import Hard
from gendistill.relabeling.relabel import Relabelled, Tried

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
ROW = Row(set="distilled", labels="hard", student="ConvNet-3", protocol="demo", epochs=1, ipc=1, split="test", mean=40.0,
          std=0.0, n=1, bytes=9, scores=(40.0,))  # fmt: skip
RESULT = {"set": "a", "labels": "hard", "student": "ConvNet-3", "protocol": "demo", "mean": 40.0, "n": 1}
TRIED = Tried(Hard(), 0, (50.0, 60.0))
PRINTED = [
    (Report([ROW]), "40.0 (1)"),
    (Comparison((Result.from_json(RESULT, "row 1"),)), "Leakage:"),
    (Plan(10, 2, (Line("distil", "denoise", 3, 4, 0.5, 1e9),), 10**9, 10**6), "10 pictures in each of 2 sets"),
    (Relabelled(Path("out"), (TRIED,), TRIED), "55.0 ± 7.1 (2)"),
]


@pytest.mark.parametrize(("value", "says"), PRINTED, ids=lambda one: type(one).__name__)
def test_a_notebook_shows_what_print_does(value, says):
    assert repr(value) == str(value) and says in repr(value)


def test_every_name_of_the_readme_is_there():
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    prose = "\n".join(re.findall(r"`[^`\n]+`", README))
    imported = re.findall(r"^`?from (gendistill[\w.]*) import (\w+)", f"{code}\n{prose}", re.MULTILINE)
    dotted = re.findall(r"(?<![\w/.])(gendistill(?:\.\w+)*)\.(\w+)", f"{code}\n{prose}")
    found = {(home, name) for home, name in (*imported, *dotted) if name != "py"}
    assert {("gendistill", "load"), ("gendistill.learning.losses", "soft_cross_entropy")} <= found
    for home, name in found:
        assert hasattr(importlib.import_module(home), name), f"README names {home}.{name}"


def test_every_public_name_says_what_comes_back_and_what_is_refused():
    for name in gendistill.__all__:
        thing = getattr(gendistill, name)
        assert inspect.getdoc(thing), name
        if "device" in (inspect.signature(thing).parameters if inspect.isfunction(thing) else {}):
            assert "Raises:" in inspect.getdoc(thing), name
