"""Training pictures as networks read them: at one resolution, in [-1, 1]; kept in memory only while they are few."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gendistill.types import Images
from gendistill.views.either import either

IN_MEMORY = 2**30
"""Bytes of 8-bit pictures that are kept in memory."""

Read = Callable[[Tensor], Tensor]


def reader(images: Images, resolution: int) -> Read:
    """``read(positions)``: pictures as float32 in [-1, 1], (n, c, resolution, resolution), on the CPU."""

    def stored(positions: Tensor) -> Tensor:
        pixels = images.stored(positions)
        if pixels.shape[-1] == resolution:
            return pixels
        resized = F.interpolate(pixels.float(), size=(resolution, resolution), mode="bicubic", antialias=True)
        return resized.round_().clamp_(0, 255).to(torch.uint8)

    if len(images) * images.shape[0] * resolution**2 <= IN_MEMORY:
        kept = torch.cat([stored(part) for part in torch.arange(len(images)).split(256)])
        return lambda positions: kept[positions].float().div_(127.5).sub_(1)
    return lambda positions: stored(positions).float().div_(127.5).sub_(1)


def mirrored(pixels: Tensor, flip: Tensor) -> Tensor:
    """The pictures, those that ``flip`` marks mirrored left to right."""
    return either(flip.view(-1, 1, 1, 1), pixels, pixels.flip(-1))
