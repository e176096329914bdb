"""Modes of a class: k-means over its latents (D4M: Su et al., CVPR 2024; MGD3: Chan-Santiago et al., ICML 2025).

VLCP (Zou et al., ICCV 2025) leaves outliers out first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors
from gendistill.context import Context, encoding
from gendistill.types import UserError
from gendistill.work import Work

CLUSTERING: dict[str, Any] = {"init": "k-means++", "n_init": 3}
NEIGHBOURS = 10
"""Of the local outlier factor, as in VLCP."""


@dataclass(frozen=True)
class Modes(Anchors):
    """k-means over the latents of a class, slot j gets mode j; no augmentation is ever seen.

    count           modes per class, None for one per picture (k = IPC, as published)
    medoid          take the nearest real latent instead of the mean, which is blurry off the manifold
    pool            average-pool latents by this factor before clustering; the mode is the mean of the full latents
    components      principal components in which is clustered, 0 for all dimensions (a variant of MGD3 takes 4)
    clean_outliers  share of the latents left out as outliers by local density (VLCP: 0.1), in [0, 0.5]
    """

    count: int | None = None
    medoid: bool = False
    pool: int = 1
    components: int = 0
    clean_outliers: float = 0.0

    def __post_init__(self) -> None:
        least = min(self.pool, 1 if self.count is None else self.count)
        if least < 1 or self.components < 0 or not 0 <= self.clean_outliers <= 0.5:
            raise UserError(
                "Modes needs count >= 1 or None, pool >= 1, components >= 0 and clean_outliers in [0, 0.5], got "
                f"count={self.count}, pool={self.pool}, components={self.components}, clean_outliers={self.clean_outliers}"
            )

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Modes, the most populous first. A class with fewer different pictures than modes repeats them."""
        modes = context.once(("modes", self, index), lambda: self._modes(context, index))
        return modes[slots % len(modes)]

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding, then one clustering per class."""
        yield from encoding(context)
        yield Work("k-means", len(context.classes), lambda: self._cluster(context, context.classes[0]), each="class")

    def _modes(self, context: Context, index: int) -> Tensor:
        more = {"modes": repr(self), "ipc": context.ipc, "seed": context.seed}
        return context.kept("modes", index, more, lambda: {"modes": self._cluster(context, index)})["modes"]

    def _cluster(self, context: Context, index: int) -> Tensor:
        latents = inliers(context.latents(index), self.clean_outliers)
        k = min(self.count or context.ipc, len(latents))
        seed = seeds.number(context.seed, "modes", index) % 2**32
        seen = (F.avg_pool2d(latents, self.pool) if self.pool > 1 else latents).flatten(1)
        if self.components:
            kept = min(self.components, *seen.shape)
            seen = torch.from_numpy(PCA(kept, random_state=seed).fit_transform(seen.numpy()))
        belongs = clustered(seen, k, seed)
        sizes = torch.bincount(belongs)
        order = sizes.argsort(descending=True, stable=True)
        means = torch.stack([latents[belongs == mode].mean(0) for mode in order[sizes[order] > 0]])
        if not self.medoid:
            return means
        return torch.stack([latents[(latents - mean).flatten(1).square().sum(1).argmin()] for mean in means])


def clustered(points: Tensor, count: int, seed: int) -> Tensor:
    """The cluster of each point (n, d) by k-means, (n,). Where fewer than ``count`` points differ, some clusters are empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the only thing it tells is that some are empty
        found = KMeans(count, **CLUSTERING, random_state=seed).fit(points.numpy())
    return torch.from_numpy(found.labels_).long()


def inliers(latents: Tensor, share: float) -> Tensor:
    """The latents without this share of outliers; all of them where there are too few to tell."""
    if share == 0 or len(latents) <= 2:
        return latents
    settings: dict[str, Any] = {"n_neighbors": min(NEIGHBOURS, len(latents) - 1), "contamination": share}
    found = LocalOutlierFactor(**settings).fit_predict(latents.flatten(1).numpy())
    return latents[torch.from_numpy(found) > 0]
