"""Runs and files of results, as far as they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gendistill.evaluation.report import Report, Row
from gendistill.system.store import write_tensors

TRAINING = "Training(epochs=300, lr=0.01)"
SCORES = [44.0, 46.0, 45.0]
THEIRS = {"set": "theirs", "labels": "hard", "student": "ConvNet-3", "protocol": "demo", "mean": 43.0, "n": 3}


def row(**changes: Any) -> dict[str, Any]:
    """A row of a metrics.json, made of `Row`'s own fields; scores stay around the mean."""
    mean = changes.get("mean", 45.0)
    scores = changes.pop("scores", [mean - 1, mean + 1, mean])
    given: dict[str, Any] = dict(
        set="distilled", labels="hard", student="ConvNet-3", protocol="demo", epochs=300, ipc=10, split="test", mean=mean,
        std=1.0, n=len(scores), bytes=24_000, scores=tuple(scores), training=TRAINING,
    )  # fmt: skip
    return {**Report([Row(**{**given, **changes})]).to_json()["rows"][0], "scores": list(scores)}


def whole(**changes: Any) -> dict[str, Any]:
    """The row of all real pictures."""
    changes = {
        "mean": 80.0,
        "scores": [80.0],
        "ipc": None,
        "bytes": 9_000_000,
        "training": "Training(epochs=9)",
        **changes,
    }
    return row(set="full_real", std=0.0, **changes)


def a_run(
    folder: Path, *rows: dict[str, Any], shape: tuple[int, ...] = (3, 8, 8), prints: Sequence[str] = (), **entries: Any
) -> Path:
    """A run directory, as far as it is looked at; ``prints`` are the fingerprints of its sets."""
    stored, classes = torch.zeros(2, *shape, dtype=torch.uint8), [{"name": "cat"}, {"name": "dog"}]
    for seed, soft in enumerate([{"set": one} for one in prints] or [{}]):
        place = folder / "sets" / f"seed-{seed}"
        write_tensors(place / "shards" / "a.safetensors", {"stored": stored})
        (place / "set.json").write_text(json.dumps({"classes": classes, "shards": ["a.safetensors"], "soft": soft}))
    provenance = {"real": {"name": "pets"}, "leakage": "Nobody saw them."}
    (folder / "run.json").write_text(json.dumps({"provenance": provenance}))
    (folder / "metrics.json").write_text(json.dumps({"rows": rows, "seconds": {"evaluate": 1.0}, **entries}))
    return folder


def a_file(path: Path, *rows: dict[str, Any], **shared: Any) -> Path:
    """A file of results."""
    path.write_text(json.dumps({"data": "pets, 2 classes, 8 × 8 RGB", **shared, "rows": rows}))
    return path
