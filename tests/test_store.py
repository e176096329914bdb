"""The cache: made once, under what made it, and apart from what another version made."""

from __future__ import annotations

import pytest
import torch

from gendistill import store
from gendistill.store import Store, cache_root, write_atomically


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
