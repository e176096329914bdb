"""Real pictures, drawn at random: what every choice must beat, and where pixel methods begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors
from gendistill.context import Context, encoding
from gendistill.types import RealData, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class RealPictures(Anchors):
    """Real pictures in a seeded order, encoded: slot j gets the j-th. Only those that are asked for are read."""

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a class has fewer pictures than are wanted."""
        counts = torch.bincount(data.train.labels, minlength=len(data.classes)).tolist()
        small = [f"{c} has {count}" for c, count in zip(data.classes, counts, strict=True) if count < ipc]
        if small:
            raise UserError(
                f"ipc={ipc} real pictures are wanted of every class: {', '.join(small[:8])}"
                f"{f' and {len(small) - 8} more have too few' if len(small) > 8 else ''}; lower ipc, or start from noise"
            )

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Latents of real pictures."""
        where = context.real.train.where(index)
        order = torch.randperm(len(where), generator=seeds.stream(context.seed, "real pictures", index))
        return context.encode(context.real.train.stored(where[order[slots % len(where)]]))

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding of the pictures that are drawn."""
        for work in encoding(context):
            yield replace(work, calls=len(context.classes) * context.ipc / work.rows, shared=False)
