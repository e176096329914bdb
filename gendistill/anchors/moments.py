"""How far a set is from a class by its moments: the score of D3HR (Zhao et al., ICML 2025), https://arxiv.org/abs/2505.18399.

    score = a |mean - mean'| + b |std - std'| + c |skewness - skewness'|

Every moment is taken over the pictures of a set, dimension by dimension, and is the unbiased one, so that small sets can be
compared with large classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 1e-12
"""A deviation below this is none: such a dimension has no skewness."""


class Moments(NamedTuple):
    """Of each dimension, (..., d)."""

    mean: Tensor
    std: Tensor
    skewness: Tensor


def from_central(mean: Tensor, second: Tensor, third: Tensor, count: int) -> Moments:
    """Unbiased moments from the mean and the mean second and third powers around it. Of one picture all but the mean are 0."""
    std = (second * (count / max(count - 1, 1))).clamp_min(0).sqrt()
    # n / ((n - 1)(n - 2)) sum z^3 with the unbiased deviation; three points are the fewest that can lean to a side.
    factor = count**2 / ((count - 1) * (count - 2)) if count > 2 else 0.0
    skewness = torch.where(std > SMALLEST, factor * third / std.clamp_min(SMALLEST) ** 3, torch.zeros_like(std))
    return Moments(mean, std, skewness)


def of_sets(sets: Tensor) -> Moments:
    """Moments over the last dimension but one: (..., k, d) holds sets of k pictures."""
    mean = sets.mean(-2)
    away = sets - mean.unsqueeze(-2)
    return from_central(mean, away.square().mean(-2), (away.square() * away).mean(-2), sets.shape[-2])


def of_subsets(points: Tensor, subsets: Tensor) -> Moments:
    """Moments of subsets (m, k) of points (n, d), by three matrix products instead of m k d gathered numbers.

    Precise where the points have been standardised; in float64 otherwise.
    """
    count = subsets.shape[1]
    member = torch.zeros(len(subsets), len(points), dtype=points.dtype).scatter_(1, subsets, 1 / count)
    mean, square, cube = (member @ power for power in (points, points.square(), points**3))
    return from_central(mean, square - mean.square(), cube - 3 * mean * square + 2 * mean**3, count)


def distance(found: Moments, wanted: Moments, weights: tuple[float, float, float]) -> Tensor:
    """The score of each set, (...): weighted distances of mean, standard deviation and skewness."""
    terms = [w * (mine - other).norm(dim=-1) for w, mine, other in zip(weights, found, wanted, strict=True)]
    return torch.stack(terms).sum(0)
