"""Augmentation in batches on the device, differentiable, with every random number an argument.

Differentiable siamese augmentation (Zhao & Bilen, ICML 2021), https://arxiv.org/abs/2102.08259: one operation is picked per
call; when siamese, one draw of its parameters serves the whole batch, so that real and synthetic pictures can share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.crop import taken
from gendistill.views.either import either
from gendistill.views.numbers import Draw

ROTATE_DEG = 15.0
SCALE = 1.2
CROP = 0.125
BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5


def brightness(x: Tensor, draw: Draw) -> Tensor:
    """Add a number in +-0.5 (in deviations of the data) to every value."""
    return x + (draw(1, 1, 1) - 0.5) * BRIGHTNESS


def saturation(x: Tensor, draw: Draw) -> Tensor:
    """Scale the distance of the channels from their mean by a factor in [0, 2)."""
    mean = x.mean(1, keepdim=True)
    return (x - mean) * (draw(1, 1, 1) * SATURATION) + mean


def contrast(x: Tensor, draw: Draw) -> Tensor:
    """Scale the distance from the picture's mean by a factor in [0.5, 1.5)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (draw(1, 1, 1) + CONTRAST) + mean


def color(x: Tensor, draw: Draw) -> Tensor:
    """Brightness, saturation, contrast, in this order."""
    return contrast(saturation(brightness(x, draw), draw), draw)


def crop(x: Tensor, draw: Draw) -> Tensor:
    """Shift by up to an eighth of the side in each direction, by whole pixels; what comes in is the mean colour."""
    side = x.shape[-1]
    shift = ((draw(2) * 2 - 1) * (int(side * CROP + 0.5) + 0.5)).round()
    rows = torch.arange(side, device=x.device)
    y, z = ((rows + shift[:, i : i + 1]).long() for i in (0, 1))
    inside = ((y >= 0) & (y < side)).unsqueeze(2) & ((z >= 0) & (z < side)).unsqueeze(1)
    moved = taken(x, y.clamp(0, side - 1), z.clamp(0, side - 1))
    return moved * inside.unsqueeze(1)


def cutout(x: Tensor, draw: Draw) -> Tensor:
    """Put the mean colour in a square of half the side, centred anywhere: an even one between pixels, or at an edge."""
    side = x.shape[-1]
    cut = (side + 1) // 2
    first = (draw(2) * (side + 1 - cut % 2)).floor() - cut // 2
    rows = torch.arange(side, device=x.device)
    y, z = ((rows >= first[:, i : i + 1]) & (rows < first[:, i : i + 1] + cut) for i in (0, 1))
    return x * ~(y.unsqueeze(2) & z.unsqueeze(1)).unsqueeze(1)


def flip(x: Tensor, draw: Draw) -> Tensor:
    """Mirror left and right, every other time."""
    return either(draw(1, 1, 1) < 0.5, x, x.flip(3))


def _affine(x: Tensor, rows: list[Tensor]) -> Tensor:
    zero = torch.zeros_like(rows[0])
    theta = torch.stack([rows[0], rows[1], zero, rows[2], rows[3], zero], -1).view(-1, 2, 3).expand(len(x), 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def scale(x: Tensor, draw: Draw) -> Tensor:
    """Stretch each axis by a factor in [1/1.2, 1.2)."""
    factor = draw(2) * (SCALE - 1 / SCALE) + 1 / SCALE
    zero = torch.zeros_like(factor[:, 0])
    return _affine(x, [factor[:, 0], zero, zero, factor[:, 1]])


def rotate(x: Tensor, draw: Draw) -> Tensor:
    """Turn by up to 15 degrees either way."""
    angle = (draw(1)[:, 0] - 0.5) * 2 * math.radians(ROTATE_DEG)
    return _affine(x, [angle.cos(), -angle.sin(), angle.sin(), angle.cos()])


OPERATIONS: Mapping[str, Callable[[Tensor, Draw], Tensor]] = {
    "color": color, "crop": crop, "cutout": cutout, "flip": flip, "scale": scale, "rotate": rotate,
}  # fmt: skip


@dataclass(frozen=True)
class Siamese:
    """Differentiable siamese augmentation. Operations that change what a picture means (flipped digits) are left out.

    operations  of which one is picked per call
    """

    operations: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

    def __post_init__(self) -> None:
        wrong = [name for name in self.operations if name not in OPERATIONS]
        if wrong or not self.operations:
            raise UserError(f"operations={self.operations}: choose at least one of {', '.join(OPERATIONS)}")

    def __call__(
        self, pixels: Pixels, stream: torch.Generator, mean: Tensor, std: Tensor, siamese: bool = False
    ) -> Pixels:
        """Augmented pixels. ``mean`` and ``std`` (1, c, 1, 1) are the data's: shifts bring in the mean, units are deviations.

        ``stream`` says what happens: the same state and ``siamese=True`` do the same to two batches.
        """
        picked = int(torch.randint(len(self.operations), (1,), generator=stream))
        count = 1 if siamese else len(pixels)

        def draw(*shape: int) -> Tensor:
            return beside(torch.rand(count, *shape, generator=stream), pixels)

        return OPERATIONS[self.operations[picked]]((pixels - mean) / std, draw) * std + mean
