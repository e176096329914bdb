"""Difficulty-guided sampling, DGS (Li et al., ICCV Workshops 2025), https://arxiv.org/abs/2507.03331: as hard as the real.

    difficulty d = 1 - p(class | picture),  seen on a logarithmic scale between two thresholds b < t:
    u = log(clip(d, b, t) / b) / log(t / b)  in [0, 1]
    (b, t) = argmin 1/2 KL(histogram of d || histogram of u) + 1/2 KL(uniform || histogram of u)

The thresholds are ranks, found for the candidates: the real pictures are seen between the same ranks of theirs. Every bin of u
gets the share that it has of the real pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.nets import ensemble
from gendistill.nets.teachers import AnsweringTeachers
from gendistill.nets.trained import Trained
from gendistill.steering.selection import Selection, seen
from gendistill.types import UserError
from gendistill.work import Work

CUTS = torch.linspace(0, 0.1, 25)
"""Shares of the candidates that may be cut off at each end: up to a tenth, as the published search at IPC 50."""
LEAST = 1e-4
"""The lowest difficulty that is told from none, and the share an empty bin counts as, which keeps its divergence finite."""


@dataclass(frozen=True)
class SelectDifficulty(AnsweringTeachers, Selection):
    """Keep candidates whose difficulties are spread as those of the real pictures of their class.

    teachers  whose mean probabilities decide, see `gendistill.nets.trained.load`
    bins      of the histogram, at least 1
    """

    teachers: tuple[Any, ...] = (Trained(),)
    bins: int = 10
    looks_at_real = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 1:
            raise UserError(f"SelectDifficulty needs bins >= 1, got {self.bins}")

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """Of every bin its share, drawn by a seeded order; a bin that runs short is filled from the nearest ones.

        The published code fills up at random, which undoes the spread where the pool is small.
        """
        nets, chosen = ensemble.load(self.teachers, context), []
        for group in groups:
            index = int(draft.labels[group[0]])

            def difficulty(pixels: Tensor, index: int = index) -> Tensor:
                return 1 - ensemble.probabilities(nets, pixels)[:, index]

            real = ensemble.look(context.stored(index), difficulty, context).double()
            made = seen(draft[group], difficulty, context).double()
            cut = cuts(made, self.bins)
            shares = largest_remainder(histogram(logarithmic(real, *thresholds(real, *cut)), self.bins), wanted)
            stream = seeds.stream(context.seed, "difficulty", context.place, index)
            order = torch.randperm(len(group), generator=stream)
            places = bin_of(logarithmic(made, *thresholds(made, *cut)), self.bins)
            chosen.append(group[order[by_bins(places[order], shares)]])
        return chosen

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate and every real picture."""
        real = sum(len(context.real.train.where(index)) for index in context.classes)
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft) + real)


def logarithmic(difficulty: Tensor, bottom: float, top: float) -> Tensor:
    """Difficulty between the thresholds, on a logarithmic scale in [0, 1]; all 0 where the thresholds meet."""
    bottom, top = max(bottom, LEAST), max(top, LEAST)
    if top <= bottom:
        return torch.zeros_like(difficulty)
    return (difficulty.clamp(bottom, top) / bottom).log() / torch.tensor(top / bottom).double().log()


def bin_of(values: Tensor, bins: int) -> Tensor:
    """The bin of each value in [0, 1]; 1 belongs to the last."""
    return (values * bins).long().clamp(0, bins - 1)


def histogram(values: Tensor, bins: int) -> Tensor:
    """Share of the values in every bin."""
    return torch.bincount(bin_of(values, bins), minlength=bins).double() / len(values)


def divergence(p: Tensor, q: Tensor) -> float:
    """Kullback-Leibler divergence of ``q`` from ``p``, in nats; an empty bin of ``q`` counts as `LEAST`."""
    return float((torch.special.xlogy(p, p) - p * q.clamp_min(LEAST).log()).sum())


def thresholds(difficulty: Tensor, low: float, high: float) -> tuple[float, float]:
    """The difficulties below and above which such shares of the pictures are."""
    ends = torch.tensor([low, 1 - high]).to(difficulty)
    bottom, top = torch.quantile(difficulty, ends).tolist()
    return bottom, top


def cuts(difficulty: Tensor, bins: int) -> tuple[float, float]:
    """The shares to cut off at either end that make the histogram even, yet like the one they started from."""
    before, even = histogram(difficulty, bins), torch.full((bins,), 1 / bins).double()

    def cost(cut: tuple[float, float]) -> float:
        after = histogram(logarithmic(difficulty, *thresholds(difficulty, *cut)), bins)
        return 0.5 * divergence(before, after) + 0.5 * divergence(even, after)

    return min(itertools.product(CUTS.tolist(), repeat=2), key=cost)


def largest_remainder(shares: Tensor, total: int) -> Tensor:
    """Whole numbers in proportion to shares that sum to 1, summing to ``total``; ties go to the first."""
    exact = shares * total
    counts = exact.floor().long()
    most = (exact - counts).argsort(descending=True, stable=True)
    counts[most[: total - int(counts.sum())]] += 1
    return counts


def by_bins(places: Tensor, shares: Tensor) -> Tensor:
    """Positions of pictures so that every bin has its share; shortages come from what the nearest bins have left.

    Pictures of one bin are taken in order; of two bins equally near, the easier one gives.
    """
    left = [torch.nonzero(places == place).flatten().tolist() for place in range(len(shares))]
    taken: list[int] = []
    short = []
    for place, share in enumerate(shares.tolist()):
        taken += left[place][:share]
        short += [place] * (share - len(left[place][:share]))
        left[place] = left[place][share:]
    for place in short:
        nearest = min((other for other in range(len(left)) if left[other]), key=lambda other: abs(other - place))
        taken.append(left[nearest].pop(0))
    return torch.tensor(taken)
