"""MixUp (Zhang et al., ICLR 2018), https://arxiv.org/abs/1710.09412: a weighted mean of two pictures.

pixels = share * picture + (1 - share) * partner,    share ~ Beta(beta, beta)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels
from gendistill.views.base import Mix
from gendistill.views.beta import beta_numbers, check
from gendistill.views.numbers import Draw


@dataclass(frozen=True)
class MixUp(Mix):
    """A weighted mean of the two.

    beta         of the Beta distribution
    probability  that anything is mixed
    """

    beta: float = 0.8
    probability: float = 1.0

    def __post_init__(self) -> None:
        check(self.beta, self.probability)

    def __call__(self, pixels: Pixels, partners: Pixels, draw: Draw) -> tuple[Pixels, Tensor]:
        """Mixed pixels, and the weight of the picture itself."""
        chance, weight = draw(1), beta_numbers(draw(1), self.beta)
        share = beside(torch.where(chance < self.probability, weight, 1)[:, 0], pixels)
        return torch.lerp(partners, pixels, share.view(-1, 1, 1, 1)), share
