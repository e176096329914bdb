"""Numbers of a Beta distribution from uniform ones, one for one, which rejection would not be."""

from __future__ import annotations

from functools import lru_cache

import torch
from scipy.stats import beta as distribution
from torch import Tensor

from gendistill.types import UserError

STEPS = 4096


@lru_cache(maxsize=8)
def quantiles(beta: float) -> Tensor:
    """The inverse of the distribution function of Beta(beta, beta) at evenly spaced places, (STEPS + 1,)."""
    return torch.from_numpy(distribution.ppf(torch.linspace(0, 1, STEPS + 1).double().numpy(), beta, beta)).float()


def beta_numbers(uniform: Tensor, beta: float) -> Tensor:
    """Uniform numbers made ones of Beta(beta, beta)."""
    if beta == 1:
        return uniform
    table = quantiles(beta).to(uniform.device)
    place = uniform * STEPS
    low = place.floor().long().clamp_max(STEPS - 1)
    return torch.lerp(table[low], table[low + 1], place - low)


def check(beta: float, probability: float) -> None:
    """Raise `UserError` where a mix cannot draw by these."""
    if beta <= 0 or not 0 <= probability <= 1:
        raise UserError(f"a mix takes beta > 0 and probability in [0, 1], got {beta} and {probability}")
