"""Random numbers that are a function of what they are for, so that any batch, order and device gives the same ones.

A number of a view is the hash of (seed, picture, view, place): SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), https://doi.org/10.1145/2660193.2660195
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gendistill import seeds

Draw = Callable[..., Tensor]
"""draw(*shape) -> uniform numbers in [0, 1): (n, *shape), or (1, *shape) where one draw serves a whole batch."""

Words = NDArray[np.uint64]
GOLDEN, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""SplitMix64's constants; sums and products wrap around, as they must."""


def mixed(x: Words) -> Words:
    """The finaliser of SplitMix64: unrelated words. In numpy: on so few numbers torch's operations take several times as long."""
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


def numbered(seed: int, positions: Tensor, view: int | Tensor) -> Draw:
    """A draw for these pictures in a view: each call goes on where the one before it stopped.

    Numbers are on the CPU, and so is what operations make of them before pictures are touched: what is rounded is the same on every
    device.

    Args:
        seed: of all views.
        positions: (n,) int64, the pictures' places in their set.
        view: its number; or (n,) int64, that of each picture.
    """
    views, rows = apart(view, positions)
    begins = np.array([seeds.number(seed, "view", one) for one in views.tolist()], dtype=np.uint64)
    start = mixed(positions.long().cpu().numpy().astype(np.uint64) * GOLDEN + begins[rows.numpy()])
    used = 0

    def draw(*shape: int) -> Tensor:
        nonlocal used
        count = math.prod(shape)
        places = np.arange(used + 1, used + count + 1, dtype=np.uint64) * GOLDEN
        used += count
        bits = mixed(start[:, np.newaxis] + places) >> np.uint64(40)  # a float32 holds 24 bits exactly
        return torch.from_numpy(bits.astype(np.float32) / np.float32(1 << 24)).view(len(start), *shape)

    return draw


def apart(view: int | Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The views there are, (v,) int64 ascending, and which of them each picture is in, (n,), on the CPU."""
    if not isinstance(view, Tensor):
        return torch.tensor([int(view)]), torch.zeros(len(positions), dtype=torch.long)
    return view.cpu().unique(return_inverse=True)


@lru_cache(maxsize=4)
def permutation(seed: int, view: int, count: int) -> Tensor:
    """An order of ``count`` pictures that follows from the seed and the view, (count,) int64."""
    return torch.randperm(count, generator=seeds.stream(seed, "partners", view))
