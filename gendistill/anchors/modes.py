"""Modes of a class: k-means over its latents (D4M: Su et al., CVPR 2024; MGD3: Chan-Santiago et al., ICML 2025)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors
from gendistill.context import Context, encoding
from gendistill.work import Work

CLUSTERING: dict[str, Any] = {"init": "k-means++", "n_init": 3}


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
