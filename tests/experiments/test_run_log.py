"""A run's log neither ends a run nor hides what it says."""

from __future__ import annotations

import errno
import json

import pytest

from gendistill.experiments.run_log import log, logged
from gendistill.types import UserError


def test_a_line_that_does_not_fit_is_lost_and_no_more(tmp_path, monkeypatch, capsys):
    def full(*given, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    with logged(tmp_path):
        for handler in log.handlers[-2:]:
            monkeypatch.setattr(handler.stream, "flush", full)
        log.info("lost")
    assert "Traceback" not in capsys.readouterr().err


def test_what_ended_a_run_is_its_last_line_and_handlers_are_gone(tmp_path):
    before, level = list(log.handlers), log.level
    with pytest.raises(UserError), logged(tmp_path):
        log.info("begun")
        raise UserError("no room")
    assert (log.handlers, log.level) == (before, level)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(one["level"], one["message"]) for one in lines] == [("INFO", "begun"), ("ERROR", "no room")]
    assert (tmp_path / "run.log").read_text().endswith("no room\n")
