"""Pictures known by their content, whatever their order and however they are kept."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.system.store import fingerprint
from gendistill.types import Images


def prints(images: Images) -> Tensor:
    """A hash of the content of each picture, (N,) int64; equal pictures have equal ones, whatever their place."""
    found = [
        int.from_bytes(hashlib.blake2b(one.numpy().tobytes(), digest_size=8).digest(), "little", signed=True)
        for part in torch.arange(len(images)).split(256)
        for one in images.stored(part).contiguous()
    ]
    return torch.tensor(found, dtype=torch.int64)


def kept_prints(images: Images, context: Context) -> Tensor:
    """`prints` of real pictures, which are many: kept."""
    key = {"images": images.fingerprint}
    return context.store.tensors("prints", key, lambda: {"prints": prints(images)})["prints"]


def known_as(images: Images, context: Context) -> str:
    """A name for real pictures that follows from their content alone."""
    return fingerprint(kept_prints(images, context).sort().values)
