"""Randomness is an argument: every stream follows from a key, and a picture has a stream of its own.

Streams live on the CPU, so that a picture is the same on every device, in every batch, at every IPC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from gendistill.types import Ids

Part = int | str


def number(*key: Part) -> int:
    """A 63-bit seed that follows from ``key`` alone; keys that differ give unrelated seeds."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*key: Part) -> torch.Generator:
    """The random stream of ``key``."""
    return torch.Generator().manual_seed(number(*key))


@contextmanager
def as_global(seed: int) -> Iterator[None]:
    """While this lasts, torch's global stream of the CPU follows from the seed; those of other devices are left as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def streams(ids: Ids, *key: Part) -> list[torch.Generator]:
    """One random stream per picture: (class, slot, candidate) and ``key``."""
    return [stream(*key, *row) for row in ids.tolist()]


def normal(generators: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
    """Standard normal numbers, (n, *shape) float32 on the CPU, row i from the i-th stream."""
    return torch.stack([torch.randn(tuple(shape), generator=g) for g in generators])
