"""Pictures that a generator draws anew for every epoch of a student: the generator is what was distilled, not the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from gendistill.store import fingerprint
from gendistill.types import Images, Stored, UserError


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
