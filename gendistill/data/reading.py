"""Labelled pictures as they lie in a source, and the images that read them on demand."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from gendistill.data.messages import listed
from gendistill.data.pictures import MODES, UNREADABLE, Frame, Framed, Picture
from gendistill.system.progress import progress
from gendistill.system.store import fingerprint
from gendistill.types import Class, Images, RealData, Stored, UserError

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("gendistill")

HASHED = 256 << 20
"""Bytes of pictures that a fingerprint reads at most."""
PARTS = frozenset(
    ("", "train", "training", "test", "testing", "val", "valid", "validation", "data", "images", "default")
)
"""Folders that are called so hold a part of some data, whatever these are called."""


class Raw(ABC):
    """Pictures as they lie in their source, one at a time.

    parallel  whether several threads may read at once
    """

    parallel: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def name(self, position: int) -> str:
        """What to call a picture in an error."""

    @abstractmethod
    def read(self, position: int) -> Picture:
        """The picture, decoded. Raises one of `UNREADABLE` where it cannot be."""

    @abstractmethod
    def sizes(self) -> list[int]:
        """The bytes each picture takes where it lies, found without decoding."""

    @abstractmethod
    def contents(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The bytes of each of these pictures where it lies, one after the other."""

    @abstractmethod
    def take(self, positions: Sequence[int]) -> Raw:
        """The pictures at these positions only."""


class OnDemand(Images):
    """Pictures that are read, decoded and framed when they are asked for; none is kept."""

    def __init__(self, raw: Raw, classes: tuple[Class, ...], labels: Tensor, frame: Frame) -> None:
        """Decode the first picture, whose shape all others must have."""
        self.classes, self.labels = classes, labels
        self._raw, self._frame = raw, frame
        first = _attempt(raw, 0)
        if isinstance(first, str):
            raise _unreadable([first], 1)
        framed = frame(first, raw.name(0))
        self.shape = (framed.shape[0], framed.shape[1], framed.shape[2])

    @cached_property
    def fingerprint(self) -> str:
        """Follows from classes, labels, frame, the bytes each picture takes, and the bytes of every k-th picture.

        k is the least number that keeps what is read within `HASHED` bytes: 1, all pictures, in most data sets.
        Beyond, an edit of some pictures that keeps their number of bytes may go unseen. Names and dates of files
        do not count, so equal data are equal on every machine.
        """
        sizes = self._raw.sizes()
        step = max(1, math.ceil(sum(sizes) / HASHED))
        read = hashlib.sha256()
        for content in self._raw.contents(range(0, len(sizes), step)):
            read.update(content)
        return fingerprint(self._frame, [str(c) for c in self.classes], self.labels, torch.tensor(sizes), read.digest())

    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """8-bit pictures at these positions; several threads decode where the source allows it."""
        positions = torch.as_tensor(indices, dtype=torch.long).tolist()
        out = np.empty((len(positions), *self.shape), dtype=np.uint8)  # torch's own threads would fight with ours
        broken: list[str] = []

        def framed(position: int) -> Framed | str:
            picture = _attempt(self._raw, position)
            return picture if isinstance(picture, str) else self._framed(picture, position)

        for row, result in enumerate(_in_threads(framed, positions, self._raw.parallel)):
            if isinstance(result, str):
                broken.append(result)
            else:
                out[row] = result.numpy()
        if broken:
            raise _unreadable(broken, len(positions))
        return torch.from_numpy(out)

    def _framed(self, picture: Picture, position: int) -> Framed:
        framed = self._frame(picture, self._raw.name(position))
        if tuple(framed.shape) == self.shape:
            return framed
        remedies = [f"size={min(self.shape[1:])}"] if framed.shape[1:] != self.shape[1:] else []
        remedies += ["channels=3"] if framed.shape[0] != self.shape[0] and framed.shape[0] in MODES else []
        raise UserError(
            f"{self._raw.name(position)} is {_shown(framed.shape)}, but {self._raw.name(0)} is {_shown(self.shape)}: "
            "pictures must share a shape" + (f"; {' and '.join(remedies)} would bring them to one" if remedies else "")
        )


@dataclass(eq=False)
class Index:
    """Labelled pictures before any is decoded.

    raw     the pictures
    labels  (N,) int64, positions in ``classes``
    where   what to call them in an error
    """

    raw: Raw
    classes: tuple[Class, ...]
    labels: Tensor
    where: str

    def only(self, classes: Sequence[Class]) -> Index:
        """The pictures of these classes, which are then the classes, in this order."""
        place = {c: i for i, c in enumerate(classes)}
        labels = torch.tensor([place.get(c, -1) for c in self.classes])[self.labels]
        kept = torch.nonzero(labels >= 0).flatten()
        return Index(self.raw.take(kept.tolist()), tuple(classes), labels[kept], self.where)

    def readable(self) -> Index:
        """The pictures that can be decoded. Decodes all of them, and names those that are left out."""
        found = _in_threads(lambda i: _attempt(self.raw, i), range(len(self.raw)), self.raw.parallel)
        checked = enumerate(progress(found, f"checking {self.where}", len(self.raw)))
        broken = {position: result for position, result in checked if isinstance(result, str)}
        if not broken:
            return self
        log.warning(
            "%s: %d of %d pictures cannot be read and are left out: %s",
            self.where,
            len(broken),
            len(self.raw),
            listed(broken.values()),
        )
        kept = [i for i in range(len(self.raw)) if i not in broken]
        return Index(self.raw.take(kept), self.classes, self.labels[kept], self.where)

    def images(self, frame: Frame, skip_corrupt: bool) -> Images:
        """Images that read on demand. Every class must have a picture."""
        index = self.readable() if skip_corrupt else self
        counts = torch.bincount(index.labels, minlength=len(index.classes))
        empty = [c for c, count in zip(index.classes, counts.tolist(), strict=True) if count == 0]
        if empty or not index.classes:
            raise UserError(f"{self.where} has no picture of {listed(empty) or 'any class'}")
        return OnDemand(index.raw, index.classes, index.labels, frame)


def opened(
    name: str,
    train: Index,
    test: Index | None,
    frame: Frame,
    *,
    skip_corrupt: bool = False,
    licence: str = "unknown",
) -> RealData:
    """Real data of these pictures. Of the test pictures only the classes are looked at before they are asked for."""
    twice = [c for c, count in Counter(train.classes).items() if count > 1]
    if twice:
        raise UserError(f"{train.where} has several classes called {listed(twice)}: give each a name of its own")
    if test is not None:
        _agree(train, test)
    images = train.images(frame, skip_corrupt)

    def held_out() -> Images:
        assert test is not None
        pictures = test.only(images.classes).images(frame, skip_corrupt)
        if pictures.shape != images.shape:
            raise UserError(
                f"{test.where} holds {_shown(pictures.shape)} pictures, but {train.where} holds "
                f"{_shown(images.shape)} ones: size=... and channels=... bring them to one shape"
            )
        return pictures

    return RealData(name, images, None if test is None else held_out, licence=licence)


def named_after(place: Path) -> str:
    """What pictures are called that are known by their place only: the first folder upwards that does not name a part of them."""
    return next((one.name for one in (place, *place.resolve().parents) if one.name.casefold() not in PARTS), place.name)


def _agree(train: Index, test: Index) -> None:
    """Both must have the same classes, whatever their order."""
    lacking = [c for c in train.classes if c not in test.classes]
    added = [c for c in test.classes if c not in train.classes]
    if lacking or added:
        lacks, adds = (f"lacks {listed(lacking)}" if lacking else "", f"adds {listed(added)}" if added else "")
        raise UserError(
            f"{test.where}: test and training pictures must have the same classes, but compared with "
            f"{train.where} it {' and '.join(part for part in (lacks, adds) if part)}"
        )


def _attempt(raw: Raw, position: int) -> Picture | str:
    """The picture, or what is wrong with it."""
    try:
        return raw.read(position)
    except UserError:
        raise
    except UNREADABLE as error:
        return f"{raw.name(position)} ({error or type(error).__name__})"


def _unreadable(broken: Sequence[str], asked: int) -> UserError:
    return UserError(
        f"{len(broken)} of the {asked} pictures asked for cannot be read: {listed(broken)}; repair or "
        "remove them, or leave them out with skip_corrupt=True"
    )


def _in_threads(work: Callable[[T], R], items: Sequence[T], parallel: bool) -> Iterator[R]:
    """``work`` on each item, in order; decoding lets other threads run."""
    threads = min(16, os.cpu_count() or 1, len(items))
    if not parallel or threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), 8 * threads):  # so that few results wait in memory
            yield from pool.map(work, items[start : start + 8 * threads])


def _shown(shape: Iterable[int]) -> str:
    return "x".join(str(side) for side in shape)
