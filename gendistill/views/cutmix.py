"""CutMix (Yun et al., ICCV 2019), https://arxiv.org/abs/1905.04899: a box of one picture in another.

pixels = inside the box ? partner : picture,    share = 1 - area of the box,    area ~ 1 - Beta(beta, beta)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels
from gendistill.views.base import Mix
from gendistill.views.beta import beta_numbers, check
from gendistill.views.either import either
from gendistill.views.numbers import Draw


@dataclass(frozen=True)
class CutMix(Mix):
    """A box of the partner in each picture, cut off where it leaves the picture.

    beta         of the Beta distribution; 1 draws areas evenly
    probability  that anything is cut
    """

    beta: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check(self.beta, self.probability)

    def __call__(self, pixels: Pixels, partners: Pixels, draw: Draw) -> tuple[Pixels, Tensor]:
        """Mixed pixels, and the share of their area that is the picture's own."""
        height, width = pixels.shape[2:]
        chance, kept, centre = draw(1), beta_numbers(draw(1), self.beta), draw(2)
        side = torch.where(chance < self.probability, (1 - kept).sqrt(), 0)
        high, wide = (side * height).floor(), (side * width).floor()
        y, x = (centre[:, :1] * height).floor(), (centre[:, 1:] * width).floor()
        rows, columns = torch.arange(height), torch.arange(width)
        inside_y = (rows >= y - (high / 2).floor()) & (rows < y + (high / 2).floor())
        inside_x = (columns >= x - (wide / 2).floor()) & (columns < x + (wide / 2).floor())
        share = 1 - inside_y.sum(1) * inside_x.sum(1) / (height * width)
        inside = beside(inside_y, pixels).unsqueeze(2) & beside(inside_x, pixels).unsqueeze(1)
        return either(inside.unsqueeze(1), pixels, partners), beside(share, pixels)
