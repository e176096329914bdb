"""Every protocol of the field, made tiny, judges a set of random pictures from beginning to end."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.config.parts import named_values
from gendistill.distilled import Distilled
from gendistill.evaluation import evaluate as module
from gendistill.evaluation.protocol import Protocol
from gendistill.images import Subset
from gendistill.labelers import online
from gendistill.toys import ToyData, toy_context
from tests.parts_under_test import shrink

VALUES = {name: value for name, value in named_values().items() if isinstance(value, Protocol)}
DATA = ToyData(per_class=4, size=32, channels=3).open()
LARGE = ("RDED_CROSS",)
"""Protocols one of whose students asks for larger pictures than are quick to make."""


@pytest.mark.parametrize("name", [name for name in VALUES if name not in LARGE])
def test_it_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "check_teachers", lambda *given: None)  # tiny ones guess
    monkeypatch.setattr(online, "check_teacher", lambda *given: None)
    protocol = shrink(VALUES[name])
    sets = {"random_real": [Distilled.of(Subset(DATA.train, torch.tensor([0, 1, 4, 5, 8, 9])))]}
    report = module.measure(sets, protocol, replace(toy_context(tmp_path), real=DATA))
    rows = len(protocol.nets) + (len(protocol.nets) > 1)
    assert len(report.rows) == rows * (len(protocol.labelers) or 1)
    assert {row.protocol for row in report.rows} == {protocol.name}
    assert all(0 <= row.mean <= 100 for row in report.rows)
