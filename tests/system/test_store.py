"""The cache: made once, under what made it, and apart from what another version made."""

from __future__ import annotations

import errno
import os
import time

import pytest
import torch
from safetensors import SafetensorError

from gendistill.system import store
from gendistill.system.store import Store, cache_root, read_json, read_tensors, write_atomically
from gendistill.types import UserError


def test_made_once_under_its_key(tmp_path):
    made = []

    def make():
        made.append(True)
        return {"x": torch.full((2,), float(len(made)))}

    kept = Store(tmp_path)
    first = kept.tensors("latents", {"class": 0}, make)["x"]
    assert torch.equal(kept.tensors("latents", {"class": 0}, make)["x"], first)
    assert not torch.equal(kept.tensors("latents", {"class": 1}, make)["x"], first)
    assert len(made) == 2


def test_another_version_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path))
    Store(cache_root()).tensors("students", {"seed": 0}, lambda: {"accuracy": torch.tensor(1.0)})
    monkeypatch.setattr(store, "version", lambda: "99.0")
    found = Store(cache_root()).tensors("students", {"seed": 0}, lambda: {"accuracy": torch.tensor(2.0)})
    assert found["accuracy"] == 2.0


def test_a_folder_goes_on_where_it_stopped(tmp_path):
    kept = Store(tmp_path)

    def stops(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.folder("finetuned", {"seed": 0}, stops)
    done = kept.folder("finetuned", {"seed": 0}, lambda folder: (folder / "whole").write_text("whole"))
    assert sorted(path.name for path in done.iterdir()) == ["half", "key.json", "whole"]


def test_a_file_is_whole_or_absent(tmp_path):
    def fails(part):
        part.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "result.json", fails)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EDQUOT, "quota"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=str,
)
def test_a_full_disk_is_told(error, tmp_path):
    def fails(part):
        raise error

    with pytest.raises(UserError, match="no room left"):
        write_atomically(tmp_path / "result.json", fails)
    other = SafetensorError("Error while serializing: I/O error: (os error 5)")
    with pytest.raises(SafetensorError), store.out_of_space(tmp_path):
        raise other


def test_what_killed_processes_left_goes_after_a_day(tmp_path):
    parts = [tmp_path / "latents" / f".{name}.part" for name in ("old", "new")]
    parts[0].parent.mkdir()
    for part, hours in zip(parts, (25, 23), strict=True):
        part.touch()
        written = time.time() - 3600 * hours
        os.utime(part, (written, written))
    Store(tmp_path).tensors("latents", {"class": 0}, lambda: {"x": torch.zeros(2)})
    assert [part.exists() for part in parts] == [False, True]


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_a_file_that_is_damaged_or_missing_is_named(tmp_path, read):
    file = tmp_path / "file"
    with pytest.raises(UserError, match="file is missing"):
        read(file)
    for content in (b"", b"{", bytes(range(200, 256))):
        file.write_bytes(content)
        with pytest.raises(UserError, match="file is damaged"):
            read(file)
