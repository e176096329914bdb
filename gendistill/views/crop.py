"""Crops, by bilinear interpolation on the device, every picture by a box of its own.

Boxes are drawn as torchvision draws them (Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842), in whole pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Operation
from gendistill.views.numbers import Draw

TRIES = 10
"""Boxes are drawn, of which the first that fits is taken; the largest one in the middle where none does."""


@dataclass(frozen=True)
class RandomResizedCrop(Operation):
    """A part of the picture, brought back to its size.

    scale  share of the area, from .. to, in (0, 1]
    ratio  width / height, from .. to, drawn evenly in its logarithm
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not (0 < self.scale[0] <= self.scale[1] <= 1 and 0 < self.ratio[0] <= self.ratio[1]):
            raise UserError(
                f"a crop takes scale=(from, to) within (0, 1] and ratio=(from, to) above 0, got {self.scale} and {self.ratio}"
            )

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """The crops, as large as the pictures were."""
        return resized(pixels, *self.boxes(pixels.shape[2], pixels.shape[3], draw))

    def boxes(self, height: int, width: int, draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top, left, height and width of the boxes, (n,) int64 each."""
        area, lean, place = draw(TRIES), draw(TRIES), draw(2)
        area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * area)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = torch.exp(low + (high - low) * lean)
        w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.int().argmax(1, keepdim=True)
        none = ~fits.any(1)
        within = min(max(width / height, self.ratio[0]), self.ratio[1])
        w = torch.where(none, min(width, round(height * within)), w.gather(1, first).squeeze(1))
        h = torch.where(none, min(height, round(width / within)), h.gather(1, first).squeeze(1))
        top = torch.where(none, (height - h).div(2).floor(), (place[:, 0] * (height - h + 1)).floor())
        left = torch.where(none, (width - w).div(2).floor(), (place[:, 1] * (width - w + 1)).floor())
        return top.long(), left.long(), h.long(), w.long()


@dataclass(frozen=True)
class Shift(Operation):
    """Move each picture by whole pixels; what comes in is black (a crop of the padded picture).

    padding  pixels in each direction at most
    """

    padding: int = 4

    def __post_init__(self) -> None:
        if self.padding < 1:
            raise UserError(f"padding={self.padding}: at least one pixel")

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """The moved pictures."""
        height, width = pixels.shape[2:]
        padded = F.pad(pixels, [self.padding] * 4)
        offset = (draw(2) * (2 * self.padding + 1)).floor().long()
        rows, columns = offset[:, :1] + torch.arange(height), offset[:, 1:] + torch.arange(width)
        return taken(padded, beside(rows, pixels), beside(columns, pixels))


def taken(pixels: Tensor, rows: Tensor, columns: Tensor) -> Pixels:
    """These rows (n, h) and columns (n, w) of each picture; of (1, h) and (1, w) the same ones of all.

    What comes out lies in memory as pictures do: with channels last a student's convolutions on a CPU are slower.
    """
    place = rows.unsqueeze(2) * pixels.shape[3] + columns.unsqueeze(1)
    wanted = place.flatten(1).unsqueeze(1).expand(len(pixels), pixels.shape[1], -1)
    return pixels.flatten(2).gather(2, wanted).view(*pixels.shape[:2], *place.shape[1:])


def resized(pixels: Pixels, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Pixels:
    """Boxes of the pictures, one each, enlarged to the pictures' size. Nothing outside a box is looked at."""
    rows = beside(sampled(top, height, pixels.shape[2]), pixels)
    columns = beside(sampled(left, width, pixels.shape[3]), pixels)
    grid = torch.stack(
        [
            columns.unsqueeze(1).expand(-1, pixels.shape[2], -1),
            rows.unsqueeze(2).expand(-1, -1, pixels.shape[3]),
        ],
        -1,
    )
    return F.grid_sample(pixels, grid, mode="bilinear", align_corners=False)


def sampled(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where along an axis of ``size`` the pixels of the enlarged boxes come from, (n, size) in [-1, 1] as grid_sample counts."""
    centres = (torch.arange(size, device=start.device) + 0.5) / size
    place = (length.unsqueeze(1) * centres - 0.5).clamp_min(0).minimum(length.unsqueeze(1) - 1)
    return (2 * (start.unsqueeze(1) + place) + 1) / size - 1
