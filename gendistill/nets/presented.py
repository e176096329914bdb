"""Pixels in [0, 1] as a network of others takes them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gendistill.types import Pixels, UserError


def presented(pixels: Pixels, size: tuple[int, int] | None, mode: str, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels brought to a size (None leaves it) and normalised by mean and deviation (1, c, 1, 1); differentiable.

    Grey becomes every channel. The whole picture is seen: pictures are square already, so that cutting out the centre, as
    networks are often evaluated on photographs, would only leave the border without a say and without a gradient.

    Raises:
        UserError: pictures of other channels.
    """
    channels = mean.shape[1]
    if pixels.shape[1] not in (1, channels):
        raise UserError(
            f"the network looks at {channels} channels, the pictures have {pixels.shape[1]}; set channels={channels} in `real`"
        )
    x = pixels.expand(-1, channels, -1, -1)
    if size is not None and tuple(x.shape[-2:]) != size:
        x = F.interpolate(x, size, mode=mode, antialias=True, align_corners=False)
    return (x - mean) / std
