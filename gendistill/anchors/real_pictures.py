"""Real pictures, drawn at random: what every choice must beat, and where pixel methods begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors, encoding_some, enough
from gendistill.context import Context
from gendistill.types import RealData
from gendistill.work import Work


@dataclass(frozen=True)
class RealPictures(Anchors):
    """Real pictures in a seeded order, encoded: slot j gets the j-th. Only those that are asked for are read."""

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a class has fewer pictures than are wanted."""
        enough(data, ipc)

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Latents of real pictures."""
        return context.encode(of_slots(context, index, slots))

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding of the pictures that are drawn."""
        yield from encoding_some(context)


def of_slots(context: Context, index: int, slots: Tensor) -> Tensor:
    """The 8-bit real pictures of these slots of class ``index``; a class with fewer pictures than slots begins anew."""
    where = context.real.train.where(index)
    order = torch.randperm(len(where), generator=seeds.stream(context.seed, "real pictures", index))
    return context.real.train.stored(where[order[slots % len(where)]])
