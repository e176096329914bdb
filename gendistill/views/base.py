"""What a view is made of: operations on pixels, and a mix of two pictures, both functions of given random numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gendistill.types import Labels, Pixels
from gendistill.views.numbers import Draw

Read = Callable[[Tensor], Pixels]
"""Pixels on the device of the pictures at some positions."""


class Operation(ABC):
    """One change of single pictures; a frozen dataclass."""

    @abstractmethod
    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """Changed pixels of the same shape. It always draws as many numbers, whatever they are."""


class Mix(ABC):
    """Two pictures made one; a frozen dataclass."""

    @abstractmethod
    def __call__(self, pixels: Pixels, partners: Pixels, draw: Draw) -> tuple[Pixels, Tensor]:
        """Mixed pixels, and the share of the first picture in each, (n,) in [0, 1]."""


@dataclass(frozen=True)
class Shown:
    """What a student sees of some pictures in one view.

    pixels    (n, c, h, w) in [0, 1]
    partners  (n,) positions of the pictures they were mixed with; None where nothing was mixed
    share     (n,) how much of each is the picture itself, in [0, 1]
    """

    pixels: Pixels
    partners: Labels | None = None
    share: Tensor | None = None
