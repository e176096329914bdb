"""What every choice of anchors is: points in latent space that stand for a class before anything is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from gendistill.capabilities import Encodes
from gendistill.context import Context, encoding
from gendistill.types import CLEAN, Level, RealData, UserError
from gendistill.work import Work


class Anchors(ABC):
    """Settings of a choice of points per class.

    needs          capabilities of the prior without which there are no points
    looks_at_real  the points follow from real pictures
    noisy          the points are at a noise level, see `level`
    """

    needs: ClassVar[tuple[type, ...]] = (Encodes,)
    looks_at_real: ClassVar[bool] = True
    noisy: ClassVar[bool] = False

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if the data cannot give the points. Reads no picture."""
        return None

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers it asks; ``licence`` is that of the real pictures."""
        return []

    def work(self, context: Context) -> Iterable[Work]:
        """What finding the points of the context's classes will cost."""
        yield from encoding(context)

    def level(self, context: Context) -> Level:
        """How noisy the points are; clean, unless they are statistics of a noise level."""
        return CLEAN

    @abstractmethod
    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """The point of each slot of class ``index``, (len(slots), *latent_shape) float32 on the CPU."""


def imagined(context: Context, slots: Tensor) -> Tensor:
    """Latents of the right shape, for planning where finding real ones is dear."""
    assert context.prior is not None
    return torch.randn(len(slots), *context.prior.latent_shape)


def enough(data: RealData, ipc: int) -> None:
    """Raise `UserError` if a class has fewer pictures than ``ipc``."""
    counts = torch.bincount(data.train.labels, minlength=len(data.classes)).tolist()
    small = [f"{c} has {count}" for c, count in zip(data.classes, counts, strict=True) if count < ipc]
    if small:
        raise UserError(
            f"ipc={ipc} real pictures are wanted of every class: {', '.join(small[:8])}"
            f"{f' and {len(small) - 8} more have too few' if len(small) > 8 else ''}; lower ipc, or start from noise"
        )


def encoding_some(context: Context) -> Iterable[Work]:
    """The work of encoding as many pictures as there are slots."""
    for work in encoding(context):
        yield replace(work, calls=len(context.classes) * context.ipc / work.rows, shared=False)
