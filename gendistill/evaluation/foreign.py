"""Sets that others made, as `Distilled` values: image folders, Parquet, hub ids, and the .pt files of matching methods."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import torch

from gendistill.data.folder import Folder
from gendistill.data.hub import Hub
from gendistill.data.parquet import TRAIN, Parquet, of_split
from gendistill.distilled import Distilled, load
from gendistill.draft import picked
from gendistill.evaluation.renumbered import Renumbered, reordered
from gendistill.evaluation.tensor_files import read_pt
from gendistill.images import Subset, content
from gendistill.labelers import stored
from gendistill.labelers.relabel import StaticLabels
from gendistill.types import Class, RealData, UserError

log = logging.getLogger("gendistill")
OURS = b"gendistill"
"""The entry in a Parquet file's metadata by which an export is known."""


def read(path: str, real: RealData, device: str | torch.device = "cpu") -> Distilled:
    """The set at ``path``, its classes in the order of ``real``; ``device`` is as in `gendistill.load`.

    Raises:
        UserError: nothing readable is there, or its classes or shape are not those of the real data.
    """
    place = Path(path)
    if (place / "set.json").exists() or (place / "run.json").exists():
        made = load(place, device)
    elif place.suffix in (".pt", ".pth"):
        made = read_pt(place, real)
    else:
        made = table_or_folder(path, place, real)
    return aligned(made, real, path)


def table_or_folder(path: str, place: Path, real: RealData) -> Distilled:
    """A Parquet file, a folder of them (such as our own export), a folder of class folders, or a data set of the hub."""
    frame: dict[str, Any] = {
        "size": real.train.shape[-1],
        "channels": real.train.shape[0] if real.train.shape[0] in (1, 3, 4) else None,
    }
    if place.is_file() and place.suffix == ".parquet":
        files: list[Path] = [place]
    else:
        files = training_files(place) if place.is_dir() else []
    if files:
        return rows_of(files, place, frame)
    if place.is_dir():
        inside = place / "train" if (place / "train").is_dir() else place
        return Distilled.of(Folder(train=str(inside), **frame).open().train)
    if place.exists():
        raise UserError(f"{path} is no set of pictures: give a run, an image folder, .parquet, .pt, or a hub id")
    return Distilled.of(Hub(path, **frame).open().train)


def training_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder, or of its sub-folder ``data``; of several splits, those of the training pictures."""
    found = sorted(folder.glob("data/train-*.parquet")) or sorted(folder.glob("*.parquet"))
    return of_split(folder, found, TRAIN) or found


def exported(folder: str | Path) -> Distilled:
    """A set that `gendistill.export` wrote: pictures, labels, weights, ids and prompts. Its recipe stands in its card.

    Of a generator it is what was drawn first: its prior is written for others to load, and is not read here.

    Raises:
        UserError: there is none, or its labels are of another set.
    """
    place = Path(folder)
    files = sorted(place.glob("data/train-*.parquet"))
    if not files:
        raise UserError(f"no exported set in {place}: there is no {place / 'data'}/train-*.parquet")
    return rows_of(files, place, {})


def rows_of(files: Sequence[Path], place: Path, frame: Mapping[str, Any]) -> Distilled:
    """The set in Parquet files, with the soft labels beside its pictures, or in the folder they are in."""
    made = with_columns(Distilled.of(Parquet(train=[str(file) for file in files], **frame).open().train), files)
    if (place / "generator").is_dir():
        log.warning(
            "%s is a generator, which is not read: the set is the pictures it drew first, in every epoch the same",
            place,
        )
    if (place / "labels.json").is_file():
        return with_labels(made, files, place)
    return with_soft_labels(made, files)


def columns_of(files: Sequence[Path], names: Sequence[str]) -> pyarrow.Table:
    """Columns of all files, one after the other."""
    return pyarrow.concat_tables(parquet.read_table(file, columns=list(names)) for file in files)


def with_columns(made: Distilled, files: Sequence[Path]) -> Distilled:
    """The set with ids, weights and prompts as an export wrote them; in files of others such columns may mean anything."""
    schema = parquet.read_schema(files[0])
    if OURS not in (schema.metadata or {}):
        return made
    told = columns_of(files, [name for name in ("id", "weight", "prompt") if name in schema.names])
    ids = torch.tensor([[int(part) for part in row.split("-")] for row in told["id"].to_pylist()], dtype=torch.long)
    prompts = tuple(told["prompt"].to_pylist()) if "prompt" in told.column_names else None
    return replace(made, ids=ids, weight=torch.tensor(told["weight"].to_pylist()), prompts=prompts)


def with_labels(made: Distilled, files: Sequence[Path], place: Path) -> Distilled:
    """The set in the order it was exported from, which its labels and views follow from, and the labels in files of their own.

    Raises:
        UserError: the labels are of other pictures.
    """
    told = json.loads((place / "labels.json").read_text())
    order = torch.from_numpy(columns_of(files, ["position"])["position"].to_numpy()).argsort()
    images, prompts = Subset(made.images, order), picked(made.prompts, order)
    made = replace(Distilled.of(images), ids=made.ids[order], weight=made.weight[order], prompts=prompts)
    if stored.kind_of(told) == "online":
        log.info("%s has soft labels by teachers, which are not in it: its labels are the hard ones", place)
        return made
    if told["pictures"] != content(made.images):
        raise UserError(
            f"the labels in {place} are of other pictures than these {len(images)}, or of another size of them: export the set "
            "again, or delete labels.json to use hard labels"
        )
    return replace(made, soft=stored.read(place, told, made.images))


def with_soft_labels(made: Distilled, files: Sequence[Path]) -> Distilled:
    """The set with the log-probabilities its files hold, if they hold any."""
    schema = parquet.read_schema(files[0])
    if "log_probs" not in schema.names:
        return made
    flat = columns_of(files, ["log_probs"])["log_probs"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    count = len(made.images) * len(made.classes)
    found = (
        torch.from_numpy(flat.copy()).float().view(len(made.images), -1) if flat.size == count else torch.zeros(1, 1)
    )
    if not bool(found.exp().sum(1).sub(1).abs().lt(1e-3).all()):
        raise UserError(f"log_probs in {files[0].name} are no log-probabilities over the {len(made.classes)} classes")
    ours = json.loads((schema.metadata or {}).get(OURS, b"{}"))
    return replace(made, soft=StaticLabels.of(found, float(ours.get("temperature", 1.0))))


def aligned(made: Distilled, real: RealData, path: str) -> Distilled:
    """The set with its classes renumbered to the order of the real data, by WordNet id and name."""
    if made.images.shape != real.train.shape:
        raise UserError(
            f"{path} holds pictures of shape {made.images.shape}, the real ones are {real.train.shape}; "
            "set size= and channels= in --real"
        )
    if made.classes == real.classes:
        return made
    place = {identity(c): index for index, c in enumerate(real.classes)}
    missing = [str(c) for c in made.classes if identity(c) not in place]
    if missing or len(made.classes) != len(real.classes):
        raise UserError(
            f"{path} has {len(made.classes)} classes, the real data {len(real.classes)}; "
            f"not among them: {', '.join(missing[:8]) or 'none'}"
        )
    order = torch.tensor([place[identity(c)] for c in made.classes])
    images = Renumbered(made.images, real.classes, order)
    ids = torch.cat([order[made.ids[:, :1]], made.ids[:, 1:]], 1)
    return replace(made, images=images, soft=reordered(made.soft, order, images), ids=ids)


def identity(c: Class) -> str:
    """What a class is known by."""
    return c.wnid or c.name.strip().lower()
