"""Weights that follow from their names alone, so that two programs can fill two networks alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers of a name: numpy's PCG64, seeded with the first 8 bytes of the name's SHA-256."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    numbers = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    return torch.from_numpy(np.asarray(numbers, dtype=np.float32))


def stylegan_xl(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for every tensor of a StyleGAN-XL generator.

    Filters are |n| / sum |n|, crooked on purpose; magnitudes 0.5 + |n|; the input's transform is the identity with 0.1 n added
    to its first two rows; style biases are 1 + 0.3 n ([1, 0, 0, 0] + 0.3 n at the input); mapping weights 100 n (the network
    multiplies them by 0.01); all other numbers n.
    """
    filled = {}
    for name, value in state.items():
        n, kind = drawn(name, tuple(value.shape)), name.rpartition(".")[2]
        if kind.endswith("filter"):
            n = n.abs() / n.abs().sum()
        elif kind == "magnitude_ema":
            n = 0.5 + n.abs()
        elif kind == "transform":
            n = torch.eye(3) + 0.1 * n * torch.tensor([[1.0], [1.0], [0.0]])
        elif name == "synthesis.input.affine.bias":
            n = torch.tensor([1.0, 0, 0, 0]) + 0.3 * n
        elif name.endswith("affine.bias"):
            n = 1 + 0.3 * n
        elif name.startswith("mapping.fc"):
            n = 100 * n
        filled[name] = n
    return filled
