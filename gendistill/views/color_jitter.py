"""Brightness, contrast and saturation of single pictures, as torchvision changes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Operation
from gendistill.views.numbers import Draw

GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey of a picture (ITU-R BT.601, rounded as in torchvision)."""
BRIGHTNESS, CONTRAST, SATURATION = range(3)
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class ColorJitter(Operation):
    """Brightness, contrast and saturation change by random factors; every picture draws their order, as torchvision does a call.

    Each of them moves a picture towards something, or away from it: black, its mean grey, its grey copy.

    brightness  factors are drawn evenly from 1 - brightness (not below 0) to 1 + brightness
    contrast    likewise
    saturation  likewise; of a picture with one channel it is nothing
    clip        keep values in [0, 1] after each, as torchvision does; IDC does not
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    clip: bool = True

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast, self.saturation) < 0:
            raise UserError(
                f"a jitter takes numbers of 0 and above, got {self.brightness}, {self.contrast} and {self.saturation}"
            )

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """The recoloured pictures."""
        reach = torch.tensor([self.brightness, self.contrast, self.saturation])
        order = torch.tensor(ORDERS)[(draw(1)[:, 0] * len(ORDERS)).long()]
        low = (1 - reach).clamp_min(0)
        factors = low + (1 + reach - low) * draw(3)
        return jittered(pixels, beside(factors, pixels), beside(order, pixels), self.clip)


def jittered(pixels: Pixels, factors: Tensor, order: Tensor, clip: bool = True) -> Pixels:
    """Pictures after three changes each.

    Args:
        pixels: (n, c, h, w).
        factors: (n, 3) of brightness, contrast and saturation; (1, 3) where one serves all.
        order: (n, 3) or (1, 3), which of them comes first, second and third.
        clip: keep values in [0, 1] after each.
    """
    for place in range(3):
        which = order[:, place]
        copy = grey(pixels)  # (n, 1, h, w)
        mean = copy.mean((1, 2, 3), keepdim=True)
        chosen = which.view(-1, 1, 1, 1)
        other = torch.where(chosen == SATURATION, copy, torch.where(chosen == CONTRAST, mean, 0.0))
        factor = factors.gather(1, which.unsqueeze(1)).view(-1, 1, 1, 1)
        pixels = torch.lerp(other, pixels, factor)
        if clip:
            pixels = pixels.clamp(0, 1)
    return pixels


def grey(pixels: Pixels) -> Tensor:
    """The grey copy of pictures, (n, 1, h, w); the mean of the channels where they are not red, green and blue."""
    if pixels.shape[1] != len(GREY):
        return pixels.mean(1, keepdim=True)
    return (pixels * beside(torch.tensor(GREY), pixels).view(1, -1, 1, 1)).sum(1, keepdim=True)
