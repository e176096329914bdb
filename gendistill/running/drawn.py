"""Pictures that a generator draws anew for every epoch of a student: the generator is what was distilled, not the pictures."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gendistill.system.store import fingerprint, out_of_space
from gendistill.types import Class, Images, Stored, UserError


class OneDraw(Images):
    """Pictures that are made a class at a time, when some of it are first asked for, and wait on disk until nobody holds them.

    A student asks for pictures of all classes in every batch: kept in memory they would all have to be there, and not kept they
    would be made for every batch.
    """

    def __init__(
        self,
        classes: Sequence[Class],
        labels: Tensor,
        shape: tuple[int, int, int],
        fingerprint: str,
        make: Callable[[int], Stored],
        folder: Path,
    ) -> None:
        """``make(index)`` gives all pictures of a class, in the order of their labels; the file, in ``folder``, has no name."""
        self.classes, self.labels, self.shape, self.fingerprint = tuple(classes), labels, shape, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self._make, self._folder, self._made = make, folder, set[int]()
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open as long as this object)
        self._file = file.fileno()
        weakref.finalize(self, file.close)

    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """Pictures of these positions; their classes are made if they are not there yet."""
        positions = torch.as_tensor(indices, dtype=torch.long)
        for index in self.labels[positions].unique().tolist():
            if index not in self._made:
                self._add(index)
        out, size = torch.empty(len(positions), *self.shape, dtype=torch.uint8), math.prod(self.shape)
        for row, position in zip(out, positions.tolist(), strict=True):
            # Not by a position of the file's own, which the workers of a loader would share.
            held = os.pread(self._file, size, position * size)
            row.copy_(torch.frombuffer(bytearray(held), dtype=torch.uint8).view(self.shape))
        return out

    def _add(self, index: int) -> None:
        rows, made = self.where(index), self._make(index)
        if made.shape != (len(rows), *self.shape):
            raise UserError(f"{self.classes[index]} was drawn as {tuple(made.shape)}, not {(len(rows), *self.shape)}")
        with out_of_space(self._folder):
            for position, one in zip(rows.tolist(), made, strict=True):
                left, at = one.contiguous().numpy().data.cast("B"), position * one.numel()
                while left:
                    done = os.pwrite(self._file, left, at)
                    left, at = left[done:], at + done
        self._made.add(index)


class DrawnImages(Images):
    """A first set of pictures, and as many others of the same labels as the generator is asked for.

    distinct  sets that differ; epoch e of a student sees number e modulo this
    bytes     what a user stores: the generator's files, not the pictures
    """

    def __init__(self, first: Images, distinct: int, generator: Path, draw: Callable[[int], Images]) -> None:
        """``draw(number)`` makes the set of a number; 0 is ``first``. ``generator`` is the folder of its files."""
        self.classes, self.labels, self.shape = first.classes, first.labels, first.shape
        self.fingerprint = fingerprint("drawn", first.fingerprint, distinct)
        self.distinct, self.generator = distinct, generator
        self.bytes = sum(file.stat().st_size for file in generator.rglob("*") if file.is_file())
        self._first, self._draw = first, draw

    def by(self, draw: Callable[[int], Images]) -> DrawnImages:
        """The same pictures, the other sets made by ``draw``."""
        return DrawnImages(self._first, self.distinct, self.generator, draw)

    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """Pictures of the first set."""
        return self._first.stored(indices)

    def at_epoch(self, number: int) -> Images:
        """The set of an epoch."""
        number %= self.distinct
        if number == 0:
            return self._first
        drawn = self._draw(number)
        if not bool((drawn.labels == self.labels).all()):
            raise UserError(f"set {number} of this generator has other labels than its first")
        return drawn
