"""Choices without the test set: a part of the training pictures is held out in its place."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import torch

from gendistill.data.given import as_source
from gendistill.images import Subset
from gendistill.seeds import stream
from gendistill.types import Images, RealData, Source, UserError


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


def split(train: Images, fraction: float, seed: int, name: str) -> tuple[Images, Images]:
    """The training pictures that are kept, and those that are held out: a part of each class, at least one.

    Raises:
        UserError: nothing of a class would be kept.
    """
    held = torch.zeros(len(train), dtype=torch.bool)
    for index, one in enumerate(train.classes):
        where = train.where(index)
        count = max(1, round(fraction * len(where)))
        if count >= len(where):
            raise UserError(
                f"{name} has too few training pictures of {one} to hold out {fraction:.0%} of them: {len(where)}"
            )
        held[where[torch.randperm(len(where), generator=stream("validation", seed, index))[:count]]] = True
    positions = torch.arange(len(train))
    return Subset(train, positions[~held]), Subset(train, positions[held])
