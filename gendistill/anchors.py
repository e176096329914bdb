"""What stands for a class before anything is made: points in latent space, taken from or computed over its real pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context, encoding
from gendistill.types import RealData, UserError
from gendistill.work import Work

CLUSTERING: dict[str, Any] = {"init": "k-means++", "n_init": 3}


class Anchors(ABC):
    """Settings of a choice of points per class."""

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if the data cannot give the points. Reads no picture."""
        return None

    def work(self, context: Context) -> Iterable[Work]:
        """What finding the points of the context's classes will cost."""
        yield from encoding(context)

    @abstractmethod
    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """The point of each slot of class ``index``, (len(slots), *latent_shape) float32 on the CPU."""


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


@dataclass(frozen=True)
class Modes(Anchors):
    """k-means over the latents of a class, slot j gets mode j; no augmentation is ever seen.

    count   modes per class, None for one per picture (k = IPC, as published)
    medoid  take the nearest real latent instead of the mean, which is blurry off the manifold
    pool    average-pool latents by this factor before clustering; the mode is the mean of the full latents
    """

    count: int | None = None
    medoid: bool = False
    pool: int = 1

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Modes, the most populous first. A class with fewer pictures than modes repeats them."""
        modes = context.once(("modes", self, index), lambda: self._modes(context, index))
        return modes[slots % len(modes)]

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding, then one clustering per class."""
        yield from encoding(context)
        yield Work("k-means", len(context.classes), lambda: self._cluster(context, context.classes[0]))

    def _modes(self, context: Context, index: int) -> Tensor:
        more = {"modes": repr(self), "ipc": context.ipc, "seed": context.seed}
        return context.kept("modes", index, more, lambda: {"modes": self._cluster(context, index)})["modes"]

    def _cluster(self, context: Context, index: int) -> Tensor:
        latents = context.latents(index)
        k = min(self.count or context.ipc, len(latents))
        seen = F.avg_pool2d(latents, self.pool) if self.pool > 1 else latents
        seed = seeds.number(context.seed, "modes", index) % 2**32
        found = KMeans(k, **CLUSTERING, random_state=seed).fit(seen.flatten(1).numpy())
        belongs = torch.from_numpy(found.labels_).long()
        order = torch.bincount(belongs, minlength=k).argsort(descending=True, stable=True)
        means = torch.stack([latents[belongs == mode].mean(0) for mode in order])
        if not self.medoid:
            return means
        return torch.stack([latents[(latents - mean).flatten(1).square().sum(1).argmin()] for mean in means])
