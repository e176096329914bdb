"""A data set of the Hugging Face hub, or a downloaded copy of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import datasets

from gendistill.data.messages import nearest
from gendistill.data.pictures import Frame
from gendistill.data.reading import opened
from gendistill.data.table import index_table
from gendistill.types import RealData, UserError

HELD_OUT = ("test", "validation", "valid", "val")


@dataclass(frozen=True)
class Hub:
    """A data set of the hub with a column of pictures and one of labels.

    id            "owner/name", or the folder of a downloaded copy
    config        the configuration, where the data set has several
    train_split   the split of the training pictures
    test_split    by default "test", else "validation"
    revision      a commit, tag or branch; name a commit to be sure of the same pictures
    size          side of the square pictures are brought to, in pixels; None keeps them
    channels      1 grey, 3 RGB, 4 RGBA; None keeps what they have. Arrays (c, h, w) keep theirs
    image_column  by default the first of type Image, else of encoded bytes, else of arrays
    label_column  by default the first of type ClassLabel; may be one of integers or strings
    skip_corrupt  leave out pictures that cannot be read, which decodes all of them first
    """

    id: str
    _: KW_ONLY
    config: str | None = None
    train_split: str = "train"
    test_split: str | None = None
    revision: str | None = None
    size: int | None = None
    channels: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        Frame(self.size, self.channels)

    def open(self) -> RealData:
        """Download what the cache of `datasets` does not have, and index the rows of both splits."""
        splits = load_splits(self.id, self.config, self.revision)
        columns = self.image_column, self.label_column
        train = split_of(splits, self.train_split, self.id)
        test = self.test_split or next((name for name in HELD_OUT if name in splits), None)
        return opened(
            self.id.rstrip("/").rsplit("/", 1)[-1],
            index_table(train, *columns, f"{self.id} ({self.train_split})"),
            index_table(split_of(splits, test, self.id), *columns, f"{self.id} ({test})") if test else None,
            Frame(self.size, self.channels),
            skip_corrupt=self.skip_corrupt,
            licence=train.info.license or "unknown",
        )


def load_splits(id: str, config: str | None = None, revision: str | None = None) -> dict[str, datasets.Dataset]:
    """All splits of a data set, memory-mapped; an error says how to get it where the hub cannot be reached."""
    try:
        loaded = datasets.load_dataset(id, config, revision=revision)
    except (ConnectionError, FileNotFoundError) as error:
        raise UserError(
            f"the data set {id!r} cannot be had: {error}. If the name is right and needs no permission, download it "
            f"where the hub can be reached, `hf download {id} --repo-type dataset --local-dir DIR`, bring DIR here "
            "and give its path in place of the name"
        ) from error
    except ValueError as error:  # an unknown or missing configuration, listed by the message
        raise UserError(f"the data set {id!r} cannot be opened with config={config!r}: {error}") from error
    return named_splits(loaded)


def named_splits(loaded: Any) -> dict[str, datasets.Dataset]:
    """The splits of a DatasetDict, by plain names."""
    return {str(name): split for name, split in loaded.items()}


def split_of(splits: Mapping[str, datasets.Dataset], name: str, id: str) -> datasets.Dataset:
    """The split of this name."""
    if name not in splits:
        raise UserError(f"{id} has no split {name!r}: {nearest(name, splits)}")
    return splits[name]
