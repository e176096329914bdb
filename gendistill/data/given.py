"""Objects where names are welcome: data that were loaded elsewhere become a source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from gendistill.data.messages import listed
from gendistill.data.pictures import Frame, Picture
from gendistill.data.reading import Index, Raw, opened
from gendistill.data.values import keep_plain
from gendistill.system.store import fingerprint
from gendistill.types import RealData, Source, UserError
from gendistill.wordnet import as_class

log = logging.getLogger("gendistill")

LOOKED_AT = 16
"""Items that are read twice, to find those that are another picture each time."""


def as_source(real: object) -> Source:
    """The source itself, or `Given` for a `datasets.Dataset` or `DatasetDict` or a torch data set."""
    if isinstance(real, Source) and not isinstance(real, type | Path):  # these have an ``open`` of another kind
        return real
    if _is_loaded(real):
        return Given(real)
    raise UserError(
        f"{real!r} is no real data; a source such as Folder(train='DIR'), Parquet(train='FILES') or "
        "Hub('owner/name') would do, or a datasets.Dataset, a DatasetDict or a torch Dataset"
    )


@dataclass(frozen=True, repr=False, eq=False)
class Given:
    """Loaded data: a `datasets.Dataset` or `DatasetDict`, or a torch data set of (picture, class index) pairs.

    Two are equal where their pictures and labels are. The text of one shows the fingerprint of the pictures, but
    cannot make them again.

    dataset       the training pictures; a DatasetDict gives both sides, "train" and "test" or else "validation"
    test          the test pictures, an object of the same kinds, or None
    size          side of the square pictures are brought to, in pixels; None keeps them
    channels      1 grey, 3 RGB, 4 RGBA; None keeps what they have. Arrays (c, h, w) keep theirs
    image_column  of a datasets.Dataset, by default the first of type Image, else of encoded bytes, else of arrays
    label_column  of a datasets.Dataset, by default the first of type ClassLabel; may be one of integers or strings
    classes       names or WordNet ids, for a torch data set that does not know its own (``.classes``)
    skip_corrupt  leave out pictures that cannot be read, which decodes all of them first
    licence       of the pictures, for the card of what is made from them
    """

    dataset: Any
    _: KW_ONLY
    test: Any = None
    size: int | None = None
    channels: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    classes: tuple[str, ...] | None = None
    skip_corrupt: bool = False
    licence: str = "unknown"

    def __post_init__(self) -> None:
        Frame(self.size, self.channels)
        keep_plain(self, "classes")
        for field, given in (("dataset", self.dataset), ("test", self.test)):
            if given is not None and not _is_loaded(given):
                raise UserError(
                    f"{field} is a {type(given).__name__}; a datasets.Dataset, a DatasetDict or a torch "
                    "Dataset with a length would do (a stream cannot be read in any order)"
                )

    def open(self) -> RealData:
        """Index the rows of both sides."""
        train, test = self._sides
        frame = Frame(self.size, self.channels)
        return opened("given", train, test, frame, skip_corrupt=self.skip_corrupt, licence=self.licence)

    def __repr__(self) -> str:
        said = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.name not in ("dataset", "test") and getattr(self, f.name) != f.default
        ]
        return f"Given({', '.join([f'<{self._described}>', *said])})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @cached_property
    def _sides(self) -> tuple[Index, Index | None]:
        from datasets import DatasetDict  # slow to import: only where such an object is given

        from gendistill.data.hub import HELD_OUT, named_splits, split_of

        train, test = self.dataset, self.test
        if isinstance(train, DatasetDict):
            splits = named_splits(train)
            train = split_of(splits, "train", "the given data")
            test = next((splits[name] for name in HELD_OUT if name in splits), None) if test is None else test
        if isinstance(test, DatasetDict):
            test = split_of(named_splits(test), "test", "the given test data")
        return self._index(train, "the given data"), None if test is None else self._index(test, "the given test data")

    @cached_property
    def _described(self) -> str:
        try:
            data = self.open()
            sides = [data.train.fingerprint] + ([data.test().fingerprint] if data.test else [])
        except UserError as error:
            return f"a {type(self.dataset).__name__} that cannot be used: {error}"
        return (
            f"{len(data.train)} pictures of {len(data.classes)} classes with fingerprint {fingerprint(*sides)}, "
            f"given as a {type(self.dataset).__name__}: give them again"
        )

    def _index(self, given: Any, where: str) -> Index:
        if isinstance(given, Dataset):
            return index_items(given, self.classes, where)
        from gendistill.data.table import index_table

        return index_table(given, self.image_column, self.label_column, where)


class Items(Raw):
    """The pictures of a torch data set, which decodes them itself, in one thread."""

    parallel = False

    def __init__(self, dataset: Any, positions: Sequence[int], where: str) -> None:
        """The items at ``positions``; ``where`` is what errors call the data set."""
        self._dataset, self._positions, self._where = dataset, positions, where

    def __len__(self) -> int:
        return len(self._positions)

    def name(self, position: int) -> str:
        """The item's own position."""
        return f"item {self._positions[position]} of {self._where}"

    def read(self, position: int) -> Picture:
        """The picture of this item."""
        return self._dataset[self._positions[position]][0]

    def sizes(self) -> list[int]:
        """Bytes of the first picture, for all."""
        return [len(next(self.contents([0])))] * len(self)

    def contents(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The pixels of these pictures."""
        for picture in map(self.read, positions):
            yield picture.tobytes() if isinstance(picture, Image.Image) else np.asarray(picture).tobytes()

    def take(self, positions: Sequence[int]) -> Raw:
        """The items at these positions."""
        return Items(self._dataset, [self._positions[position] for position in positions], self._where)


def index_items(dataset: Any, classes: Sequence[str] | None, where: str) -> Index:
    """The labelled pictures of a torch data set. Labels are its ``targets``, or else every item is read once."""
    if not len(dataset):
        raise UserError(f"{where} is empty")
    first = dataset[0]
    if not (
        isinstance(first, tuple | list)
        and len(first) > 1
        and isinstance(first[0], Image.Image | np.ndarray | torch.Tensor)
    ):
        raise UserError(
            f"{where}: items must be (picture, class index), with an image or a (c, h, w) array as the "
            f"picture; this gives {type(first).__name__}"
        )
    items = Items(dataset, range(len(dataset)), where)
    some = [place * (len(dataset) - 1) // (LOOKED_AT - 1) for place in range(LOOKED_AT)]
    if list(items.contents(some)) != list(items.contents(some)):
        raise UserError(
            f"{where} gives another picture each time (a random transform?): leave augmentation to the "
            "training protocol"
        )
    labels = _labels(dataset, some, where)
    names = classes or getattr(dataset, "wnids", None) or getattr(dataset, "classes", None)
    names = [str(name) for name in names or range(int(labels.max()) + 1)]
    if labels.min() < 0 or labels.max() >= len(names):
        raise UserError(
            f"{where} has labels from {labels.min()} to {labels.max()}, but {len(names)} classes: {listed(names)}"
        )
    return Index(items, tuple(as_class(name) for name in names), labels, where)


def _labels(dataset: Any, some: Sequence[int], where: str) -> torch.Tensor:
    """The label of every item: its ``targets``, if those of some items are what these say; else every item is read once."""
    targets = getattr(dataset, "targets", None)
    if targets is not None and len(targets) == len(dataset):
        found = torch.as_tensor(targets).long()
        if all(int(found[position]) == int(dataset[position][1]) for position in some):
            return found
        log.info("targets of %s are not the labels of its items: every item is read", where)
    return torch.tensor([int(dataset[position][1]) for position in range(len(dataset))])


def _is_loaded(given: object) -> bool:
    if isinstance(given, Dataset):
        return not isinstance(given, IterableDataset) and hasattr(given, "__len__")
    from datasets import Dataset as Table
    from datasets import DatasetDict

    return isinstance(given, Table | DatasetDict)
