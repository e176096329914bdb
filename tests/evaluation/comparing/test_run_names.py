"""What runs are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from gendistill.evaluation.comparing.run_names import called_path, short_names
from gendistill.types import UserError


def test_runs_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = [Path("x/a/run"), Path("x/b/run"), Path("x/c/metrics.json"), Path("x/theirs.json")]
    assert short_names(paths) == ["a/run", "b/run", "c", "theirs"], "what clashes is longer"
    assert short_names(paths[1:]) == ["run", "c", "theirs"]
    assert short_names([Path("x/a/run"), Path("y/a/run"), Path("x/run")]) == ["x/a/run", "y/a/run", "x/run"]
    assert short_names([Path("x/run"), Path("x/run.json"), Path("y/run.json")]) == ["run", "x/run.json", "y/run.json"]
    for twice in ([Path("x/run"), Path("x/run/metrics.json")], [Path("x/run.json")] * 2):
        with pytest.raises(UserError, match="x/run.* is given twice"):
            short_names(twice)
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert called_path("mine=runs/x") == ("mine", Path("runs/x")) and called_path(odd) == ("", odd)
