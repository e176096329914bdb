"""Square pieces of pictures, resized, and mosaics of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.types import Stored


def cut(picture: Tensor, box: Sequence[int], side: int) -> Tensor:
    """The square ``box`` (top, left, side) of an 8-bit picture (c, h, w), resized to (c, side, side) float32 in [0, 1]."""
    top, left, size = box
    piece = picture[None, :, top : top + size, left : left + size].float() / 255
    return F.interpolate(piece, size=(side, side), mode="bilinear", antialias=True, align_corners=False)[0]


def mosaic(pieces: Tensor, tiles: int) -> Tensor:
    """``tiles`` x ``tiles`` pieces (tiles^2, c, s, s) in one picture (c, tiles s, tiles s), row by row."""
    rows = [torch.cat(list(row), 2) for row in pieces.unflatten(0, (tiles, tiles))]
    return torch.cat(rows, 1)


def as_stored(pixels: Tensor) -> Stored:
    """8-bit pictures from pixels in [0, 1]."""
    return pixels.clamp(0, 1).mul(255).round().to(torch.uint8)
