"""A distilled set as a folder to publish: Parquet, a card and a preview; or as plain PNG files.

The folder is what the hub would hold: ``datasets.load_dataset(folder)`` reads it, with no code of ours, and
``hf upload`` publishes it as it is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Split

from gendistill.card import card
from gendistill.drawn import DrawnImages
from gendistill.evaluation.report import Report
from gendistill.images import content
from gendistill.parquet import features_of, groups, has_files, rows_of, spell_id, texts_of, unique_names, write_parquet
from gendistill.pictures import MODES, encode, png, sheet
from gendistill.provenance import Provenance
from gendistill.store import out_of_space, write_json
from gendistill.types import UserError

if TYPE_CHECKING:
    from gendistill.distilled import Distilled

PREVIEW_CLASSES, PREVIEW_PICTURES = 10, 10
OURS = {"README.md", "data", "generator", "labels", "labels.json", "labels.safetensors", "preview.png"}


def export(
    distilled: Distilled, folder: str | Path, *, report: Report | None = None, provenance: Provenance | None = None
) -> Path:
    """Write the set as a dataset folder, whole or not at all, and return the folder.

    ``README.md`` is the card, ``data/train-*.parquet`` the pictures and labels, ``preview.png`` a look at them; ``generator``
    holds the prior where that is what was distilled, and the pictures are the first it draws. Exact labels of the pictures are a
    column; all others are files of their own, as many bytes as the set says, beside ``labels.json``, which tells how to read them.
    A folder written by an earlier export is replaced; one that holds anything else is a `UserError`.
    """
    check_pictures(distilled)
    with whole_folder(Path(folder), OURS) as part:
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


def write_labels(distilled: Distilled, folder: Path) -> dict[str, object]:
    """Write the files of soft labels, and return what must be known to use them, which ``labels.json`` says too."""
    told = {**distilled.soft.save(folder), "pictures": content(distilled.images)}
    write_json(folder / "labels.json", told)
    return told


def to_dataset(distilled: Distilled) -> Dataset:
    """The set as a ``datasets.Dataset`` with the columns of the exported one, held in memory."""
    features = features_of(distilled)
    tables = [rows_of(distilled, *group, features.arrow_schema) for group in groups(distilled)]
    return Dataset(pa.concat_tables(tables), info=DatasetInfo(features=features), split=Split.TRAIN)


def imagefolder(distilled: Distilled, folder: str | Path) -> Path:
    """Write ``train/<class>/<id>.png`` for programs that read folders, and return the folder.

    A class folder is called by its WordNet id, else by its name. Hard labels only; readers that number the classes by
    sorting the folders may number them otherwise than the set does, so ``classes.txt`` lists them in the set's order.
    A picture that was asked for in words says so in the PNG's text chunk "parameters".
    """
    check_pictures(distilled)
    if distilled.images.shape[0] not in MODES:
        raise UserError(
            f"pictures of {distilled.images.shape[0]} channels have no image file; 1, 3 or 4 channels do. "
            "The dataset folder keeps them as arrays"
        )
    names = [c.wnid or name for c, name in zip(distilled.classes, unique_names(distilled.classes), strict=True)]
    places = [re.sub(r"[^\w.() -]", "_", name).strip(". ") or "_" for name in names]
    if len(set(places)) < len(places):
        places = [f"{index:05d}_{place}" for index, place in enumerate(places)]
    with whole_folder(Path(folder), {"train", "classes.txt"}) as part:
        (part / "classes.txt").write_text("".join(f"{place}\n" for place in places), encoding="utf-8")
        for index, place in enumerate(places):
            (part / "train" / place).mkdir(parents=True)
            for position in distilled.images.where(index).tolist():
                file = part / "train" / place / f"{spell_id(distilled.ids[position].tolist())}.png"
                file.write_bytes(png(distilled.images.stored([position])[0], texts_of(distilled, position)))
    return Path(folder)


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
def whole_folder(folder: Path, ours: set[str]) -> Iterator[Path]:
    """A new folder to fill; on success it takes the place of ``folder``, on failure nothing has changed.

    ``ours`` are the names an earlier export may have left; anything else in ``folder`` is not ours to replace.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder to export to")
    strange = sorted(item.name for item in folder.iterdir() if item.name not in ours) if folder.exists() else []
    if strange:
        raise UserError(
            f"{folder} holds something that no export wrote ({', '.join(strange[:3])}); give an empty or a new folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    part, old = (folder.with_name(f".{folder.name}{ending}.part") for ending in ("", ".old"))
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    with out_of_space(folder.parent):
        try:
            part.mkdir()
            yield part
            for path in part.rglob("*"):
                if path.is_file():
                    sync(path)
            if folder.exists():
                # Two renames: a kill between them leaves no folder, never half of one, and the next export makes it.
                os.replace(folder, old)
            os.replace(part, folder)
        finally:
            for leftover in (part, old):
                shutil.rmtree(leftover, ignore_errors=True)


def sync(path: Path) -> None:
    """Make sure a file has reached the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
