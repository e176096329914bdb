"""Random numbers that are a function of what they are for, so that any batch, order and device gives the same ones.

A number of a view is the hash of (seed, picture, view, place): SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), https://doi.org/10.1145/2660193.2660195
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from gendistill import seeds

Draw = Callable[..., Tensor]
"""draw(*shape) -> uniform numbers in [0, 1): (n, *shape), or (1, *shape) where one draw serves a whole batch."""

GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""SplitMix64's constants as signed numbers; products wrap around, as they must."""


def mixed(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64: int64 in, unrelated int64 out. Shifts are logical, so the sign that comes in is masked."""
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * FIRST
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * SECOND
    return x ^ (x >> 31 & (1 << 33) - 1)


def numbered(seed: int, positions: Tensor, view: int) -> Draw:
    """A draw for these pictures in this view: each call goes on where the one before it stopped.

    Numbers are on the CPU, and so is what operations make of them before pictures are touched: what is rounded is the same on every
    device.

    Args:
        seed: of all views.
        positions: (n,) int64, the pictures' places in their set.
        view: its number.
    """
    start = mixed(positions.long().cpu() * GOLDEN + seeds.number(seed, "view", view))
    used = 0

    def draw(*shape: int) -> Tensor:
        nonlocal used
        count = math.prod(shape)
        places = torch.arange(used + 1, used + count + 1) * GOLDEN
        used += count
        bits = mixed(start.unsqueeze(1) + places) >> 40 & (1 << 24) - 1  # a float32 holds 24 bits exactly
        return (bits.float() / (1 << 24)).view(len(start), *shape)

    return draw


def beside(numbers: Tensor, other: Tensor) -> Tensor:
    """Numbers on the device of another tensor. Nobody waits until a GPU has done what it has to do before.

    The other way round that would not be safe: who does not wait reads numbers that have not come yet.
    """
    return numbers.to(other.device, non_blocking=other.is_cuda)


@lru_cache(maxsize=4)
def permutation(seed: int, view: int, count: int) -> Tensor:
    """An order of ``count`` pictures that follows from the seed and the view, (count,) int64."""
    return torch.randperm(count, generator=seeds.stream(seed, "partners", view))
