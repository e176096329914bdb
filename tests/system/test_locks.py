"""One process at a time in a folder, or at a place where one will be."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from gendistill.system.locks import alone, alone_at
from gendistill.types import UserError


def test_two_processes_do_not_share_a_directory_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    for other in (tmp_path / "out", tmp_path / "link", Path(".")):
        with alone(tmp_path / "out"), pytest.raises(UserError, match="another process"), alone(other):
            pass


def test_whoever_waits_for_a_lock_holds_what_those_hold_who_come_later(tmp_path):
    with alone(tmp_path):
        waiting = os.open(tmp_path / ".lock-0", os.O_RDWR)
    with alone(tmp_path):
        assert os.path.samestat(os.fstat(waiting), os.stat(tmp_path / ".lock-0"))
    os.close(waiting)


def test_who_writes_a_place_waits_for_whoever_does_and_leaves_no_trace(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    order = []

    def other():
        with alone_at(tmp_path / "link"):
            order.append("second")

    with alone_at(tmp_path / "out"):
        waiting = Thread(target=other)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"] and [path.name for path in tmp_path.iterdir()] == ["link"]
