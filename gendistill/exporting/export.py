"""A distilled set as a folder to publish: Parquet, a card and a preview; or as plain PNG files.

The folder is what the hub would hold: ``datasets.load_dataset(folder)`` reads it, with no code of ours, and
``hf upload`` publishes it as it is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Split

from gendistill.distilled import Distilled
from gendistill.evaluation.keep import numbers
from gendistill.evaluation.report import Report
from gendistill.exporting.card import card
from gendistill.exporting.parquet import (
    features_of,
    groups,
    has_files,
    rows_of,
    spell_id,
    texts_of,
    unique_names,
    write_parquet,
)
from gendistill.images import content
from gendistill.pictures import MODES, encode, png, sheet
from gendistill.provenance import Provenance
from gendistill.running.drawn import DrawnImages
from gendistill.running.load import load
from gendistill.system.locks import alone_at
from gendistill.system.store import out_of_space, read_json, write_json
from gendistill.types import UserError

PREVIEW_CLASSES, PREVIEW_PICTURES = 10, 10
MARK = ".gendistill"
"""The file by which a folder that was written here is known: who wrote, and the names of what was written, one a line."""
NAME_BYTES = 200
"""Names of class folders are cut to this; file systems take 255."""


def export(
    distilled: Distilled | str | Path,
    folder: str | Path,
    *,
    report: Report | None = None,
    provenance: Provenance | None = None,
) -> Path:
    """Write the set as a dataset folder, whole or not at all, and return the folder.

    ``README.md`` is the card, ``data/train-*.parquet`` the pictures and labels, ``preview.png`` a look at them; ``generator``
    holds the prior where that is what was distilled, and the pictures are the first it draws. Exact labels of the pictures are a
    column; all others are files of their own, as many bytes as the set says, beside ``labels.json``, which tells how to read them.
    A folder written by an earlier export is replaced, and hidden files of others stay in it.

    Args:
        distilled: a set, or where one is that `gendistill.load` reads, such as a run, whose card has what the run knows.
        folder: what is written.
        report: what the set is worth, for the card; None for what the run says.
        provenance: what it was made from, for the card; None for what the run says, else the set.

    Raises:
        UserError: there is no such set, it has no picture, or the folder holds anything but an earlier export.
    """
    if not isinstance(distilled, Distilled):
        run = Path(distilled)
        distilled, report = load(run), report or numbers(run)
        provenance = provenance or provenance_of(run)
    check_pictures(distilled)
    with whole_folder(folder, "export") as part:
        written = write_parquet(distilled, part / "data")
        (part / "preview.png").write_bytes(preview(distilled))
        if isinstance(distilled.images, DrawnImages):
            shutil.copytree(distilled.images.generator, part / "generator")
        told = write_labels(distilled, part) if has_files(distilled) else {}
        text = card(
            distilled, written, report=report, provenance=provenance or Provenance(**distilled.origin), labels=told
        )
        (part / "README.md").write_text(text, encoding="utf-8")
    return Path(folder)


def provenance_of(run: Path) -> Provenance | None:
    """What a run says of the origin of its set; None where it says nothing."""
    about = run / "run.json"
    return read_json(about).get("provenance") if about.is_file() else None


def write_labels(distilled: Distilled, folder: Path) -> dict[str, object]:
    """Write the files of soft labels, and return what must be known to use them, which ``labels.json`` says too."""
    told = {**distilled.soft.save(folder), "pictures": content(distilled.images)}
    write_json(folder / "labels.json", told)
    return told


def to_dataset(distilled: Distilled) -> Dataset:
    """The set as a ``datasets.Dataset`` with the columns of the exported one, held in memory."""
    check_pictures(distilled)
    features = features_of(distilled)
    tables = [rows_of(distilled, *group, features.arrow_schema) for group in groups(distilled)]
    return Dataset(pa.concat_tables(tables), info=DatasetInfo(features=features), split=Split.TRAIN)


def imagefolder(distilled: Distilled | str | Path, folder: str | Path) -> Path:
    """Write ``train/<class>/<id>.png`` of a set, or of one that is somewhere, for programs that read folders; return the folder.

    A class folder is called by its WordNet id, else by its name. Hard labels only; readers that number the classes by
    sorting the folders may number them otherwise than the set does, so ``classes.txt`` lists them in the set's order.
    A picture that was asked for in words says so in the PNG's text chunk "parameters".

    Names are changed to what every file system takes. ``datasets`` sees no class that has no picture, and gives no labels where
    there is one class alone unless it is told ``drop_labels=False``.

    Raises:
        UserError: there is no such set, no image file for its pictures, or the folder holds anything but an earlier one of these.
    """
    distilled = distilled if isinstance(distilled, Distilled) else load(distilled)
    check_pictures(distilled)
    if distilled.images.shape[0] not in MODES:
        raise UserError(
            f"pictures of {distilled.images.shape[0]} channels have no image file; 1, 3 or 4 channels do. "
            "The dataset folder keeps them as arrays"
        )
    names = [c.wnid or name for c, name in zip(distilled.classes, unique_names(distilled.classes), strict=True)]
    places = class_places(names)
    with whole_folder(folder, "imagefolder") as part:
        (part / "classes.txt").write_text("".join(f"{place}\n" for place in places), encoding="utf-8")
        for index, place in enumerate(places):
            (part / "train" / place).mkdir(parents=True)
            for position in distilled.images.where(index).tolist():
                file = part / "train" / place / f"{spell_id(distilled.ids[position].tolist())}.png"
                file.write_bytes(png(distilled.images.stored([position])[0], texts_of(distilled, position)))
    return Path(folder)


def class_places(names: Sequence[str]) -> list[str]:
    """Names of class folders; all are numbered where a file system that ignores case would take two for one."""
    plain = [re.sub(r"[^\w.() -]", "_", name).encode()[:NAME_BYTES].decode(errors="ignore") for name in names]
    places = [name.strip(". ") or "_" for name in plain]
    if len({place.casefold() for place in places}) < len(places):
        places = [f"{index:05d}_{place}" for index, place in enumerate(places)]
    return places


def preview(distilled: Distilled) -> bytes:
    """PNG of the first pictures of the first classes."""
    shown = []
    for index, name in enumerate(unique_names(distilled.classes)[:PREVIEW_CLASSES]):
        positions = distilled.images.where(index)[:PREVIEW_PICTURES]
        shown.append((name, distilled.images.stored(positions)))
    return encode(sheet(shown))


def check_pictures(distilled: Distilled) -> None:
    """Refuse a set with nothing in it."""
    if not len(distilled.images):
        raise UserError("there is no picture to export: the set is empty")


@contextmanager
def whole_folder(folder: str | Path, by: str) -> Iterator[Path]:
    """A new folder to fill; on success it takes the place of ``folder``, on failure nothing has changed.

    ``by`` is the name of who writes.

    Raises:
        UserError: what is there is not ours to replace, as `replaceable` says.
    """
    place = replaceable(folder, by)
    part, old = (place.with_name(f".{place.name}{ending}.part") for ending in ("", ".old"))
    with alone_at(place), out_of_space(place.parent):
        shutil.rmtree(part, ignore_errors=True)
        put_back(old, place)
        replaceable(folder, by)  # another process may have put something there meanwhile
        try:
            part.mkdir(parents=True)
            yield part
            names = sorted(item.name for item in part.iterdir())
            (part / MARK).write_text("".join(f"{name}\n" for name in (by, *names)), encoding="utf-8")
            for path in part.rglob("*"):
                if path.is_file():
                    sync(path)
            if place.exists():
                # Two renames: a kill between them leaves no folder, never half of one, and the next export puts it back.
                os.replace(place, old)
            os.replace(part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            put_back(old, place)


def replaceable(folder: str | Path, by: str) -> Path:
    """The folder, with links followed, if a new one may take its place: it is not there, is empty, or was written by the same.

    Names do not say who wrote something, only the mark does. Hidden files are nobody's: tools leave them everywhere.

    Raises:
        UserError: it holds something else, is a file, or is where the user is.
    """
    place = Path(folder).resolve()
    if place.exists() and not place.is_dir():
        raise UserError(f"{folder} is a file; give a folder to export to")
    if Path.cwd().is_relative_to(place):
        raise UserError(
            f"{folder} is where you are, and would be replaced as a whole; give a folder in it or beside it"
        )
    mark = place / MARK
    writer, *ours = mark.read_text(encoding="utf-8").split("\n") if mark.is_file() else [""]
    there = [item.name for item in place.iterdir()] if place.exists() else []
    strange = sorted(name for name in there if (writer != by or name not in ours) and not name.startswith("."))
    if strange:
        raise UserError(
            f"{folder} holds something that no earlier {by} wrote ({', '.join(strange[:3])}); give an empty or a new folder, "
            "or remove what is there"
        )
    return place


def put_back(old: Path, place: Path) -> None:
    """Move what an export put aside back to its place: all where nothing took it, else the hidden files of others."""
    if not old.exists():
        return
    if not place.exists():
        os.replace(old, place)
        return
    for item in old.iterdir():
        if item.name.startswith(".") and not (place / item.name).exists():
            os.replace(item, place / item.name)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Make sure a file has reached the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
