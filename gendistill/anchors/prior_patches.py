"""Diffusion-driven patch selection, DDPS (Zhong et al., 2024), https://arxiv.org/abs/2412.09959: windows the prior recognises.

    d(location) = mean over (t, noise) of |e(z_t, t, no class) - noise|^2 - |e(z_t, t, class) - noise|^2
    window of a picture = argmax of the sum of d over it

The windows of a class are clustered, and the highest of every cluster is kept.

From notes, unverified: no code was found. Here the class label stands for their text, latents are the space of the clusters where
theirs is one of features, and a slot is one window, not a mosaic of several as in RDED.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors, encoding_some, imagined
from gendistill.anchors.crops import as_stored, cut
from gendistill.anchors.modes import clustered
from gendistill.capabilities import Denoises, Diffusion, Encodes
from gendistill.context import Context, together
from gendistill.types import Conditions, Level, Stored, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class PriorPatches(Anchors):
    """The window of each real picture where knowing the class helps the prior most; one per cluster of such windows.

    pictures  of a class that are looked at, in a seeded order, at most
    share     side of a window as a share of the picture's, in (0, 1]
    draws     of (t, noise) per picture, each one evaluation with and one without the class
    window    (from, to) in training time t / T, where t is drawn
    """

    pictures: int = 300
    share: float = 0.5
    draws: int = 4
    window: tuple[float, float] = (0.2, 0.8)
    needs = (Encodes, Denoises)

    def __post_init__(self) -> None:
        low, high = self.window
        if self.pictures < 1 or self.draws < 1 or not 0 < self.share <= 1 or not 0 < low < high <= 1:
            raise UserError(
                f"PriorPatches needs pictures >= 1, draws >= 1, 0 < share <= 1 and 0 < from < to <= 1 in window, got {self}"
            )

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Latents of the windows, those of the most populous cluster first.

        A class with fewer pictures than slots repeats them.
        """
        if context.dry:
            return imagined(context, slots)
        prior = cast(Diffusion, context.prior)
        more = {"anchors": repr(self), "prior": prior.fingerprint, "ipc": context.ipc, "seed": context.seed}
        chosen = context.kept("prior patches", index, more, lambda: self._chosen(context, index))["chosen"]
        return context.encode(self._cut(context, index, chosen[slots % len(chosen)]))

    def _chosen(self, context: Context, index: int) -> dict[str, Tensor]:
        """Rows (position in the class, top, left) of the kept windows, in cells of the latent."""
        count = len(context.real.train.where(index))
        picked = torch.randperm(count, generator=seeds.stream(context.seed, "prior patches", index))[: self.pictures]
        latents, size = context.latents(index)[picked], self._size(context)
        parts = torch.arange(len(picked)).split(together(context.real.train.shape))
        gain = torch.cat([self._gain(context, index, picked[part], latents[part]) for part in parts])
        corner, score = best_windows(gain, size)
        boxes = torch.cat([picked.view(-1, 1), corner], 1)
        seen = torch.cat([context.encode(self._cut(context, index, part)) for part in boxes.split(256)]).flatten(1)
        k = min(context.ipc, len(seen))
        state = seeds.number(context.seed, "prior patches", index, "clusters") % 2**32
        return {"chosen": boxes[highest(score, clustered(seen, k, state))]}

    def _size(self, context: Context) -> int:
        assert context.prior is not None
        return max(1, round(self.share * context.prior.latent_shape[-1]))

    def _cut(self, context: Context, index: int, boxes: Tensor) -> Stored:
        """The windows as pictures of full size."""
        assert context.prior is not None
        side, where = context.real.train.shape[-1], context.real.train.where(index)
        cell, stored = side / context.prior.latent_shape[-1], context.real.train.stored(where[boxes[:, 0]])
        size = round(self._size(context) * cell)
        corners = [[round(top * cell), round(left * cell), size] for _, top, left in boxes.tolist()]
        return as_stored(torch.stack([cut(one, corner, side) for one, corner in zip(stored, corners, strict=True)]))

    @torch.no_grad()
    def _gain(self, context: Context, index: int, positions: Tensor, clean: Tensor) -> Tensor:
        """How much the class lowers the loss at every location, (n, h, w): the mean over draws, the sum over channels."""
        prior, total = cast(Diffusion, context.prior), torch.zeros(len(clean), *clean.shape[2:])
        asked = prior.condition(torch.full((len(clean),), index))
        if not asked.null:
            raise UserError(
                f"PriorPatches compares with the prior's answer to no class, and {type(prior).__name__} knows none"
            )
        clean = clean.to(context.device)
        for draw in range(self.draws):
            ids = torch.stack([torch.full_like(positions, index), positions, torch.full_like(positions, draw)], 1)
            noise = seeds.normal(seeds.streams(ids, context.seed, "prior patches"), clean.shape[1:]).to(context.device)
            level = self._level(context, index, draw)
            x = level.alpha * clean + level.sigma * noise
            with_class, without = (
                (clean - prior.denoise(x, level, conditions).clean).square().sum(1)
                for conditions in (asked, Conditions(asked.null))
            )
            # The error of the noise is alpha / sigma times that of the clean estimate.
            total += ((without - with_class) * (float(level.alpha) / float(level.sigma)) ** 2).cpu() / self.draws
        return total

    def _level(self, context: Context, index: int, draw: int) -> Level:
        schedule, (low, high) = cast(Diffusion, context.prior).schedule, self.window
        share = float(torch.rand((), generator=seeds.stream(context.seed, "prior patches", index, draw, "time")))
        return schedule.level(min(round((low + (high - low) * share) * schedule.total), schedule.total - 1))

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding, two evaluations of the denoiser per picture and draw, and a clustering."""
        yield from super().work(context)
        sizes = [min(self.pictures, len(context.real.train.where(index))) for index in context.classes]
        index, rows = context.classes[0], min(sizes[0], together(context.real.train.shape))
        probe = imagined(context, torch.arange(rows))

        def once() -> Tensor:
            return self._gain(context, index, torch.arange(rows), probe)

        yield Work("denoise", sum(sizes) / rows, once, rows=2 * self.draws * rows, each="class")
        yield from encoding_some(context)


def best_windows(gain: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Top and left (n, 2) of the window of ``size`` cells with the highest sum of ``gain`` (n, h, w), and that sum (n,)."""
    sums = F.avg_pool2d(gain.unsqueeze(1), size, stride=1).squeeze(1) * size**2
    score, at = sums.flatten(1).max(1)
    return torch.stack([at // sums.shape[2], at % sums.shape[2]], 1), score


def highest(score: Tensor, belongs: Tensor) -> Tensor:
    """The position with the highest score in every cluster, the most populous cluster first."""
    sizes = torch.bincount(belongs)
    order = sizes.argsort(descending=True, stable=True)
    members = [torch.nonzero(belongs == cluster).flatten() for cluster in order[sizes[order] > 0].tolist()]
    return torch.stack([mine[score[mine].argmax()] for mine in members])
