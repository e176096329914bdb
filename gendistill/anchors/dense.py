"""Real latents at the cores of a class, found by density: CoDA (Zhou et al., ICLR 2026), https://arxiv.org/abs/2512.03844.

Latents are standardised and reduced, HDBSCAN finds clusters of any number, and the number is brought to one per picture. The
reduction is PCA: the published UMAP would be one more dependency, and is random.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors, imagined
from gendistill.anchors.modes import clustered
from gendistill.context import Context, encoding
from gendistill.types import UserError
from gendistill.work import Work

log = logging.getLogger("gendistill")


@dataclass(frozen=True)
class Dense(Anchors):
    """The real latent that belongs most surely to each dense cluster, the largest cluster first.

    Too many clusters: the largest stay. Too few: the largest is split in two by k-means until there are enough; the published
    code instead clusters large clusters, or the points between them, once more. Points between clusters are left out.

    components  of the PCA, 0 for none
    least       points of a cluster, at least; never more than a tenth of the class
    neighbours  by whose distance density is measured, the point itself included
    """

    components: int = 50
    least: int = 55
    neighbours: int = 3

    def __post_init__(self) -> None:
        if self.components < 0 or self.least < 2 or self.neighbours < 1:
            raise UserError(f"Dense needs components >= 0, least >= 2 and neighbours >= 1, got {self}")

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Real latents. A class with fewer pictures than slots repeats them."""
        if context.dry:
            return imagined(context, slots)
        more = {"anchors": repr(self), "ipc": context.ipc, "seed": context.seed}
        chosen = context.kept("dense", index, more, lambda: {"chosen": self._chosen(context, index)})["chosen"]
        return context.latents(index)[chosen[slots % len(chosen)]]

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding, then one clustering per class."""
        yield from encoding(context)
        yield Work("k-means", len(context.classes), lambda: self._chosen(context, context.classes[0]), each="class")

    def _chosen(self, context: Context, index: int) -> Tensor:
        seed = seeds.number(context.seed, "dense", index) % 2**32
        points = reduced(standard(context.latents(index).flatten(1)), self.components, seed)
        if len(points) < 3:
            return torch.arange(len(points))
        least = max(2, min(self.least, len(points) // 10))
        density: dict[str, Any] = {"min_samples": min(self.neighbours, len(points)), "copy": True}
        found = HDBSCAN(min_cluster_size=least, **density).fit(points.numpy())
        labels = torch.from_numpy(found.labels_).long()
        surely = torch.from_numpy(found.probabilities_).double()
        clusters = [torch.nonzero(labels == label).flatten() for label in range(int(labels.max()) + 1)]
        if not clusters:
            log.warning("class %s has no dense regions: it is halved by k-means instead", context.real.classes[index])
        clusters = as_many(clusters or [torch.arange(len(points))], points, context.ipc, seed)
        return torch.stack([core(points, surely, cluster) for cluster in clusters])


def standard(points: Tensor) -> Tensor:
    """Every dimension with mean 0 and deviation 1; one that does not vary stays 0."""
    away = points - points.mean(0)
    return away / away.square().mean(0).sqrt().clamp_min(1e-6)


def reduced(points: Tensor, components: int, seed: int) -> Tensor:
    """The first principal components of points (n, d), as many as there are at most; the points themselves for 0."""
    if components == 0:
        return points
    kept = min(components, *points.shape)
    return torch.from_numpy(PCA(kept, random_state=seed).fit_transform(points.numpy()))


def as_many(clusters: list[Tensor], points: Tensor, count: int, seed: int) -> list[Tensor]:
    """``count`` clusters (rows of points), the largest first; fewer only where there are fewer points than that."""
    clusters = sorted(clusters, key=len, reverse=True)
    while len(clusters) < count and len(clusters[0]) > 1:
        parts = halves(points, clusters[0], seed)
        clusters = sorted([*clusters[1:], *parts], key=len, reverse=True)
    return clusters[:count]


def halves(points: Tensor, cluster: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A cluster in two, by k-means; points that are all the same are parted in the middle."""
    mine = points[cluster]
    if bool((mine == mine[0]).all()):
        middle = len(cluster) // 2
        return cluster[:middle], cluster[middle:]
    side = clustered(mine, 2, seed)
    return cluster[side == 0], cluster[side == 1]


def core(points: Tensor, surely: Tensor, cluster: Tensor) -> Tensor:
    """The member that most surely belongs; of several, the one nearest to the mean of the cluster."""
    best = cluster[surely[cluster] == surely[cluster].max()]
    return best[(points[best] - points[cluster].mean(0)).square().sum(1).argmin()]
