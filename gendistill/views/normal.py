"""Standard normal numbers from uniform ones, one for one."""

from __future__ import annotations

import torch
from torch import Tensor

HALF_STEP = 2.0**-25
"""Uniform numbers are multiples of 2^-24 below 1: moved by half of that, none has an infinite quantile."""


def normal_numbers(uniform: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) made standard normal ones, float32, by the inverse of the distribution function."""
    return torch.special.ndtri(uniform.double() + HALF_STEP).float()
