"""Sets that others made, as `Distilled` values: image folders, Parquet, hub ids, and the .pt files of matching methods."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import torch

from gendistill.data.folder import Folder
from gendistill.data.hub import Hub
from gendistill.data.messages import listed
from gendistill.data.parquet import TRAIN, Parquet, of_split
from gendistill.distilled import Distilled
from gendistill.draft import picked
from gendistill.evaluation.sets.renumbered import Renumbered, reordered
from gendistill.evaluation.sets.tensor_files import read_pt
from gendistill.exporting.parquet import unique_names
from gendistill.images import Subset, content
from gendistill.labelers import stored
from gendistill.labelers.relabel import StaticLabels
from gendistill.running.load import load
from gendistill.types import Class, Images, RealData, UserError

log = logging.getLogger("gendistill")
OURS = b"gendistill"
"""The entry in a Parquet file's metadata by which an export is known."""
LISTS = (pyarrow.ListType, pyarrow.LargeListType, pyarrow.FixedSizeListType)
"""Types of a column of several numbers a row."""


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
        return Distilled.of(framed(Folder(train=str(inside), **frame), path))
    if place.exists():
        raise UserError(f"{path} is no set of pictures: give a run, an image folder, .parquet, .pt, or a hub id")
    return Distilled.of(framed(Hub(path, **frame), path))


def framed(source: Folder | Hub | Parquet, path: str | Path) -> Images:
    """The training pictures of a source in its frame. Where they are others there, by the first of them, a warning says so."""
    images, plain = source.open().train, replace(source, size=None, channels=None)
    before = images.shape if plain == source else plain.open().train.shape
    if before != images.shape:
        was, now = ("x".join(str(side) for side in shape) for shape in (before, images.shape))
        log.warning(
            "the pictures of %s are brought from %s (channels x height x width, the first of them) to %s, as the real ones are: "
            "accuracies and bytes are of these", path, was, now,
        )  # fmt: skip
    return images


def training_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder, or of its sub-folder ``data``; of several splits, those of the training pictures."""
    found = sorted(folder.glob("data/train-*.parquet")) or sorted(folder.glob("*.parquet"))
    return of_split(folder, found, TRAIN) or found


def exported_files(folder: Path) -> list[Path]:
    """The Parquet files of a set that `gendistill.export` wrote; none where it wrote none."""
    return sorted(folder.glob("data/train-*.parquet"))


def exported(folder: str | Path) -> Distilled:
    """A set that `gendistill.export` wrote: pictures, labels, weights, ids and prompts. Its recipe stands in its card.

    Of a generator it is what was drawn first: its prior is written for others to load, and is not read here.

    Raises:
        UserError: there is none, or its labels are of another set.
    """
    place = Path(folder)
    if not (files := exported_files(place)):
        raise UserError(f"no exported set in {place}: there is no {place / 'data'}/train-*.parquet")
    return rows_of(files, place, {})


def rows_of(files: Sequence[Path], place: Path, frame: Mapping[str, Any]) -> Distilled:
    """The set in Parquet files, with the soft labels beside its pictures, or in the folder they are in."""
    images = framed(Parquet(train=[str(file) for file in files], **frame), place)
    made = with_columns(Distilled.of(images), files)
    if (place / "generator").is_dir():
        log.warning(
            "%s is a generator, which is not read: the set is the pictures it drew first, in every epoch the same",
            place,
        )
    told = labels_beside(place)
    return with_soft_labels(made, files) if told is None else with_labels(made, files, place, told)


def labels_beside(place: Path) -> Mapping[str, Any] | None:
    """What an export says of its labels in files of their own; None where there are none. Others call their lists so, too.

    Raises:
        UserError: it cannot be read.
    """
    file = place / "labels.json"
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(
            f"{file} is no JSON ({error}): export the set again, or delete it to use hard labels"
        ) from error
    return told if isinstance(told, dict) and "pictures" in told else None


def columns_of(files: Sequence[Path], names: Sequence[str]) -> pyarrow.Table:
    """Columns of all files, one after the other.

    Raises:
        UserError: one of them lacks a column.
    """
    for file in files:
        lacking = [repr(name) for name in names if name not in parquet.read_schema(file).names]
        if lacking:
            raise UserError(
                f"{file} has no column {', '.join(lacking)}, which every export of gendistill has, and its labels follow from: "
                "export the set again"
            )
    return pyarrow.concat_tables(parquet.read_table(file, columns=list(names)) for file in files)


def with_columns(made: Distilled, files: Sequence[Path]) -> Distilled:
    """The set with classes, ids, weights and prompts as an export had them; in files of others such columns may mean anything."""
    schema = parquet.read_schema(files[0])
    if OURS not in (schema.metadata or {}):
        return made
    told = columns_of(files, ["id", "weight", *(["prompt"] if "prompt" in schema.names else [])])
    ids = torch.tensor([[int(part) for part in row.split("-")] for row in told["id"].to_pylist()], dtype=torch.long)
    prompts = tuple(told["prompt"].to_pylist()) if "prompt" in told.column_names else None
    images, classes = made.images, classes_of(made, files)
    if classes != images.classes:
        images = Renumbered(images, classes, torch.arange(len(classes)))
    return replace(made, images=images, ids=ids, weight=torch.tensor(told["weight"].to_pylist()), prompts=prompts)


def classes_of(made: Distilled, files: Sequence[Path]) -> tuple[Class, ...]:
    """The classes as they were before an export told them apart by name alone, each with its WordNet id where it had one."""
    column = columns_of(files, ["class_id"])["class_id"].to_pylist()
    wnids = dict(zip(made.labels.tolist(), column, strict=True))
    found = tuple(
        Class(c.name.removesuffix(f" ({wnids.get(index) or f'class {index}'})"), wnids.get(index) or c.wnid)
        for index, c in enumerate(made.classes)
    )
    spelled = tuple(c.name for c in made.classes)
    return found if tuple(unique_names(found)) == spelled else made.classes


def with_labels(made: Distilled, files: Sequence[Path], place: Path, told: Mapping[str, Any]) -> Distilled:
    """The set in the order it was exported from, which its labels and views follow from, and the labels in files of their own.

    Raises:
        UserError: the labels are of other pictures, or the order is not known.
    """
    positions = columns_of(files, ["position"])["position"].to_pylist()
    if set(positions) != set(range(len(positions))):
        raise UserError(
            f"the rows in {place} are not all that were exported, or some twice: their positions are not 0 to "
            f"{len(positions) - 1}; export the set again, or delete labels.json to use hard labels"
        )
    order = torch.tensor(positions).argsort()
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
    kind = schema.field("log_probs").type
    found, count = torch.full((1, 1), math.nan), len(made.images) * len(made.classes)
    if isinstance(kind, LISTS) and pyarrow.types.is_floating(kind.value_type):
        flat = columns_of(files, ["log_probs"])["log_probs"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        found = torch.from_numpy(flat.copy()).float().view(len(made.images), -1) if flat.size == count else found
    if not bool(found.exp().sum(1).sub(1).abs().lt(1e-3).all()):
        raise UserError(f"log_probs in {files[0].name} are no log-probabilities over the {len(made.classes)} classes")
    ours = json.loads((schema.metadata or {}).get(OURS, b"{}"))
    return replace(made, soft=StaticLabels.of(found, float(ours.get("temperature", 1.0))))


def aligned(made: Distilled, real: RealData, path: str) -> Distilled:
    """The set with its classes renumbered to the order of the real data, by WordNet id and name.

    A set whose classes are not of one size passes with a warning: it is compared with sets that are full in every class.

    Raises:
        UserError: its pictures are of another shape, or its classes are not those of the real data, each with a picture at least.
    """
    if made.images.shape != real.train.shape:
        raise UserError(
            f"{path} holds pictures of shape {made.images.shape}, the real ones are {real.train.shape}; "
            "set size= and channels= in --real"
        )
    counts = torch.bincount(made.labels, minlength=len(made.classes)).tolist()
    held = {known_by(c) for c, count in zip(made.classes, counts, strict=True) if count}
    place = {known_by(c): index for index, c in enumerate(real.classes)}
    added = [c for c in made.classes if known_by(c) not in place]
    lacking = [c for c in real.classes if known_by(c) not in held]
    if added or lacking or len(made.classes) != len(real.classes):
        said = [f"not among them: {listed(added)}"] if added else []
        said += [f"no picture of: {listed(lacking)}"] if lacking else []
        raise UserError(
            f"{path} has {len(held)} classes with pictures, the real data {len(real.classes)}; "
            + ("; ".join(said) or "some are called alike")
            + ": give --real with the classes of the set, or a set with pictures of every class"
        )
    if min(counts) < max(counts):
        log.warning(
            "%s has %d to %d pictures a class, %d in all: its IPC is that of the largest, and it is compared with sets of %d "
            "pictures in every class, %d in all",
            path, min(counts), max(counts), sum(counts), max(counts), max(counts) * len(counts),
        )  # fmt: skip
    if made.classes == real.classes:
        return made
    order = torch.tensor([place[known_by(c)] for c in made.classes])
    images = Renumbered(made.images, real.classes, order)
    ids = torch.cat([order[made.ids[:, :1]], made.ids[:, 1:]], 1)
    return replace(made, images=images, soft=reordered(made.soft, order, images), ids=ids)


def known_by(c: Class) -> str:
    """What a class is known by."""
    return c.wnid or c.name.strip().lower()
