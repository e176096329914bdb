"""Filters that keep a generator free of aliases, in plain torch: up, rectify, down, all against the edges of what is seen.

StyleGAN3 (Karras et al., NeurIPS 2021), https://arxiv.org/abs/2106.12423: a rectifier makes frequencies that the grid cannot
hold, so it runs on a finer grid and a low-pass filter takes them out again before the maps return to their own. A filter is
one row of numbers, applied along both axes, or (radially symmetric) a square of them. `None` lets everything pass.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def filtered_rectifier(
    x: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    up: int,
    down: int,
    padding: tuple[int, int, int, int],
    slope: float = 0.2,
    gain: float = math.sqrt(2),
    clamp: float | None = None,
) -> Tensor:
    """Leaky rectifier of maps (n, c, h, w) on a grid ``up`` times finer, then every ``down``-th pixel of the filtered result.

    ``padding`` is left, right, top and bottom, on the fine grid; a negative one crops.
    """
    x = upsample(x, up_filter, up, padding)
    x = F.leaky_relu(x, slope) * gain
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return downsample(x, down_filter, down)


def upsample(x: Tensor, taps: Tensor | None, factor: int, padding: tuple[int, int, int, int]) -> Tensor:
    """Spread the pixels ``factor`` apart, pad with zeros, and filter; only where the filter sees nothing beyond the padding.

    ``taps`` are one row of numbers: no generator is published with another filter for this.
    """
    left, right, top, bottom = padding
    taps = torch.ones(1, device=x.device) if taps is None else taps
    kernel = (taps * factor).to(x.dtype)
    length = len(kernel)
    flat = x.reshape(-1, 1, *x.shape[2:])
    # Overlapping copies of the filter, one for each pixel: no multiplication by the zeros between them.
    flat = F.conv_transpose2d(flat, kernel.view(1, 1, 1, -1), stride=(1, factor))
    flat = F.pad(flat, (left - length + 1, right + factor - length, 0, 0))
    flat = F.conv_transpose2d(flat, kernel.view(1, 1, -1, 1), stride=(factor, 1))
    flat = F.pad(flat, (0, 0, top - length + 1, bottom + factor - length))
    return flat.reshape(*x.shape[:2], *flat.shape[2:])


def downsample(x: Tensor, taps: Tensor | None, factor: int) -> Tensor:
    """Filter where the filter lies inside, and keep every ``factor``-th pixel."""
    if taps is None:
        return x[:, :, ::factor, ::factor]
    kernel = taps.flip(tuple(range(taps.dim()))).to(x.dtype)
    flat = x.reshape(-1, 1, *x.shape[2:])
    if kernel.dim() == 2:
        flat = F.conv2d(flat, kernel[None, None], stride=factor)
    else:
        flat = F.conv2d(flat, kernel.view(1, 1, 1, -1), stride=(1, factor))
        flat = F.conv2d(flat, kernel.view(1, 1, -1, 1), stride=(factor, 1))
    return flat.reshape(*x.shape[:2], *flat.shape[2:])
