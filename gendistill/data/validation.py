"""Choices without the test set: a part of the training pictures is held out in its place."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from gendistill.data.given import as_source
from gendistill.images import split
from gendistill.types import RealData, Source, UserError


@dataclass(frozen=True)
class Validation:
    """Another source whose test pictures are never opened: a part of each class takes their place.

    real      the source, or an object that can be one
    fraction  of the training pictures of each class that are held out, at least one, in (0, 1)
    seed      which ones
    """

    real: Source
    _: KW_ONLY
    fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "real", as_source(self.real))
        if not 0 < self.fraction < 1:
            raise UserError(f"fraction={self.fraction} holds out nothing or everything: a number between 0 and 1")

    def open(self) -> RealData:
        """Open the source and split its training pictures."""
        real = self.real.open()
        kept, out = split(real.train, self.fraction, self.seed, real.name)
        return RealData(real.name, kept, lambda: out, split="val", licence=real.licence)
