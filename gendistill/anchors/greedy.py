"""Points chosen one after the other in the features of teachers, so that more of them begin with the same ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.anchors.base import Anchors, encoding_some, enough, imagined
from gendistill.context import Context
from gendistill.nets import ensemble
from gendistill.nets.teachers import Teachers
from gendistill.nets.trained import Trained
from gendistill.types import RealData
from gendistill.work import Work


@dataclass(frozen=True)
class Greedy(Teachers, Anchors):
    """Real pictures in the order they are picked in feature space, encoded: slot j gets the j-th.

    teachers  in whose features, side by side; see `gendistill.nets.ensemble.features`
    """

    teachers: tuple[Any, ...] = (Trained(),)

    @abstractmethod
    def pick(self, features: Tensor, count: int) -> Tensor:
        """Positions of ``count`` real pictures by their features (n, d), first pick first."""

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a class has fewer pictures than are wanted."""
        enough(data, ipc)

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Latents of the picked pictures."""
        if context.dry:
            return imagined(context, slots)
        where = context.real.train.where(index)
        order = context.store.tensors("picked", self._key(context, index), lambda: self._order(context, index))["order"]
        return context.encode(context.real.train.stored(where[order[slots % len(order)]]))

    def _key(self, context: Context, index: int) -> dict[str, object]:
        data, device = context.real.train.fingerprint, context.device.type
        asked = {"anchors": repr(self), "teachers": [one.identity(context) for one in self.teachers]}
        return {"data": data, **asked, "class": index, "ipc": context.ipc, "device": device}

    def _order(self, context: Context, index: int) -> dict[str, Tensor]:
        nets, stored = ensemble.load(self.teachers, context), context.stored(index)
        features = ensemble.look(stored, lambda pixels: ensemble.features(nets, pixels), context)
        return {"order": self.pick(features, min(context.ipc, len(stored)))}

    def work(self, context: Context) -> Iterable[Work]:
        """Training of teachers, their look at every real picture, and encoding of the picked ones."""
        real = sum(len(context.real.train.where(index)) for index in context.classes)
        yield from ensemble.work(self.teachers, context, real, shared=True)
        yield from encoding_some(context)


def herding(candidates: Tensor, real: Tensor, count: int) -> Tensor:
    """Pick ``count`` rows of ``candidates`` (n, d), each bringing the mean of the picked nearest to that of ``real`` (m, d)."""
    points, wanted = candidates.double(), real.double().mean(0)
    squares, total, picked = points.square().sum(1), torch.zeros_like(wanted), torch.zeros(count, dtype=torch.long)
    free = torch.zeros(len(points)).double()
    for number in range(count):
        # |(number + 1) wanted - total - point|^2 without the part that no point changes
        left = (number + 1) * wanted - total
        picked[number] = (squares - 2 * points @ left + free).argmin()
        free[picked[number]] = float("inf")
        total = total + points[picked[number]]
    return picked


def k_centre(candidates: Tensor, real: Tensor, count: int) -> Tensor:
    """Pick ``count`` rows of ``candidates`` (n, d) that cover ``real`` (m, d).

    The first is nearest to the mean, every other one is nearest to the real point that is farthest from all picked ones.
    Where the candidates are the real points themselves, that point is picked.
    """
    points, real = candidates.double(), real.double()
    picked, away = torch.zeros(count, dtype=torch.long), torch.full((len(real),), float("inf")).double()
    free, aim = torch.zeros(len(points)).double(), real.mean(0)
    for number in range(count):
        picked[number] = ((points - aim).square().sum(1) + free).argmin()
        free[picked[number]] = float("inf")
        away = torch.minimum(away, (real - points[picked[number]]).square().sum(1))
        aim = real[away.argmax()]
    return picked
