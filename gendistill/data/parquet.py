"""Parquet files with a column of pictures and a column of labels."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import cast

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from gendistill.data.messages import existing, listed
from gendistill.data.pictures import Frame
from gendistill.data.reading import Index, named_after, opened
from gendistill.data.table import find_columns, index_table
from gendistill.data.values import keep_plain
from gendistill.types import RealData, UserError

Paths = str | Path | Sequence[str | Path]

TRAIN, TEST = ("train",), ("test", "validation", "valid", "val")


@dataclass(frozen=True)
class Parquet:
    """Parquet files in the schema of Hugging Face, or any with a column of pictures and one of labels.

    Rows are read at random through the Arrow copy that `datasets` keeps in its cache, so nothing is held in memory.
    In a folder whose files or sub-folders begin with the name of a split (``train-00000.parquet``,
    ``test/0000.parquet``), each side takes its own.

    train         a file, a folder, a glob pattern, or several of them
    test          the same for the test pictures; None takes the test (or else validation) files of the folder
                  ``train``, if it has any
    size          side of the square pictures are brought to, in pixels; None keeps them
    channels      1 grey, 3 RGB, 4 RGBA; None keeps what they have. Arrays (c, h, w) keep theirs
    image_column  by default the first of type Image, else of encoded bytes, else of arrays
    label_column  by default the first of type ClassLabel; may be one of integers or strings
    skip_corrupt  leave out pictures that cannot be read, which decodes all of them first
    licence       of the pictures, for the card of what is made from them
    """

    train: Paths
    _: KW_ONLY
    test: Paths | None = None
    size: int | None = None
    channels: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    skip_corrupt: bool = False
    licence: str = "unknown"

    def __post_init__(self) -> None:
        Frame(self.size, self.channels)
        keep_plain(self, "train", "test")

    def open(self) -> RealData:
        """Check the columns of all files, then index the rows of both sides."""
        train = _files(self.train, "train", TRAIN)
        test = _test_files(self.train) if self.test is None else _files(self.test, "test", TEST)
        shared = sorted(file.name for file in set(train) & set(test))
        if shared:
            raise UserError(f"the same files hold training and test pictures: {listed(shared)}")
        for files in (train, test):
            self._check_columns(files)
        return opened(
            named_after(train[0].parent),
            self._index(train),
            self._index(test) if test else None,
            Frame(self.size, self.channels),
            skip_corrupt=self.skip_corrupt,
            licence=self.licence,
        )

    def _check_columns(self, files: Sequence[Path]) -> None:
        """All files of a side must have pictures and labels, and the same types of column."""
        found = [(file, _features(file)) for file in files]
        for file, features in found:
            find_columns(features, self.image_column, self.label_column, file.name)
            if features != found[0][1]:
                raise UserError(
                    f"{file.name} and {files[0].name} have columns of different types: {features} and {found[0][1]}"
                )

    def _index(self, files: Sequence[Path]) -> Index:
        rows = datasets.load_dataset(
            "parquet", data_files={"rows": [glob.escape(str(file)) for file in files]}, split="rows"
        )
        where = files[0].name if len(files) == 1 else f"{files[0].name} ({len(files)} files)"
        return index_table(cast(datasets.Dataset, rows), self.image_column, self.label_column, where)


def _files(given: Paths, field: str, splits: Sequence[str]) -> list[Path]:
    """The Parquet files that are meant, in the order given and sorted within it."""
    found: list[Path] = []
    for path in (given,) if isinstance(given, str | Path) else given:
        if re.search(r"[*?[]", str(path)) and not Path(path).expanduser().exists():  # what is there is no pattern
            matching = sorted(Path(match) for match in glob.glob(str(Path(path).expanduser()), recursive=True))
        elif (root := existing(path, field)).is_dir():
            everything = sorted(root.rglob("*.parquet"))
            matching = of_split(root, everything, splits)
            if not of_split(root, everything, (*TRAIN, *TEST)):
                matching = everything
        else:
            matching = [root]
        if not matching:
            raise UserError(
                f"{field}={str(path)!r} holds no Parquet file of that side: files are named *.parquet, "
                f"and begin with {' or '.join(splits)} where a folder holds several splits"
            )
        found += matching
    return [file.resolve() for file in found]


def _test_files(train: Paths) -> list[Path]:
    """The test files of the folder that the training files are in, if a folder was given."""
    root = Path(train).expanduser() if isinstance(train, str | Path) else None
    if root is None or not root.is_dir():
        return []
    return [file.resolve() for file in of_split(root, sorted(root.rglob("*.parquet")), TEST)]


def of_split(root: Path, files: Sequence[Path], splits: Sequence[str]) -> list[Path]:
    """The files of the first of these splits that the folder has: a file or sub-folder is named after it."""
    for split in splits:
        named = re.compile(rf"{split}(?![a-z])", re.IGNORECASE)
        found = [file for file in files if any(named.match(part) for part in file.relative_to(root).parts)]
        if found:
            return found
    return []


def _features(file: Path) -> datasets.Features:
    try:
        return datasets.Features.from_arrow_schema(pq.read_schema(file))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{file} is not a whole Parquet file: {error}") from error
