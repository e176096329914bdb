"""Mirror every other picture."""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Operation
from gendistill.views.either import either
from gendistill.views.numbers import Draw


@dataclass(frozen=True)
class Flip(Operation):
    """Left and right change places.

    share  of the pictures, in [0, 1]
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UserError(f"share={self.share} of the pictures are mirrored: a number in [0, 1]")

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """Mirrored where a number is below the share."""
        return either(beside(draw(1, 1, 1) < self.share, pixels), pixels, pixels.flip(3))
