"""What every choice of anchors is: points in latent space that stand for a class before anything is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor

from gendistill.context import Context, encoding
from gendistill.types import CLEAN, Level, RealData
from gendistill.work import Work


class Anchors(ABC):
    """Settings of a choice of points per class."""

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if the data cannot give the points. Reads no picture."""
        return None

    def work(self, context: Context) -> Iterable[Work]:
        """What finding the points of the context's classes will cost."""
        yield from encoding(context)

    def level(self, context: Context) -> Level:
        """How noisy the points are; clean, unless they are statistics of a noise level."""
        return CLEAN

    @abstractmethod
    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """The point of each slot of class ``index``, (len(slots), *latent_shape) float32 on the CPU."""
