"""A set of others as one of ours, so that it can be labelled anew. What made it stays unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import torch

from gendistill.context import open_real
from gendistill.evaluation.sets import foreign
from gendistill.running.load import set_folders
from gendistill.system.store import fingerprint, write_json, write_tensors
from gendistill.types import Source, UserError

SHARD = 10_000
"""Pictures of a file."""


def sets_at(
    path: str | Path, real: Source | None, device: torch.device, progress: Callable[..., Iterable]
) -> list[Path]:
    """The folders of the finished sets of a run, or of the one that is named; of a set of others, one that is written now.

    Raises:
        UserError: there is none, or the real data are not known that say what the classes of a set of others are.
    """
    place = Path(path)
    found = [folder for folder in (place, *set_folders(place)) if (folder / "set.json").exists()]
    if found:
        return found
    if real is None or (place / "run.json").exists():
        raise UserError(
            f"no finished set of gendistill in {path}; give the folder of a run, of one of its sets, or a set of others together "
            "with the real data, real= or --real"
        )
    return [adopted(path, real, device, progress)]


def adopted(path: str | Path, real: Source, device: torch.device, progress: Callable[..., Iterable]) -> Path:
    """The folder of a set of others: an image folder, Parquet, a .pt file, or a data set of the hub. It has hard labels there.

    Raises:
        UserError: nothing readable is there, or it does not fit the real data.
    """
    context = open_real(real, device, progress)
    made = foreign.read(str(path), context.real, device).hard()
    images, identity = made.images, fingerprint(made.images.fingerprint, made.labels, made.weight)

    def write(folder: Path) -> None:
        names = []
        for number, part in enumerate(torch.arange(len(images)).split(SHARD)):
            names.append(f"pictures/{number:05d}.safetensors")
            held = {"stored": images.stored(part), "ids": made.ids[part], "weight": made.weight[part]}
            write_tensors(folder / "shards" / names[-1], held)
        about = {
            "identity": identity,
            "recipe": "None",
            "classes": [asdict(c) for c in images.classes],
            "shards": names,
        }
        write_json(folder / "set.json", {**about, "soft": made.soft.save(folder), "origin": dict(made.origin)})

    return context.store.folder("sets of others", {"set": identity, "classes": [str(c) for c in images.classes]}, write)
