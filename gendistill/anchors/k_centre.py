"""Greedy k-centre (Sener & Savarese, ICLR 2018), https://arxiv.org/abs/1708.00489: real pictures that cover the class.

x_1 is nearest to the mean of the class, x_k = argmax_x min_(j < k) | f(x) - f(x_j) |
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gendistill.anchors.greedy import Greedy, k_centre


@dataclass(frozen=True)
class KCentre(Greedy):
    """Real pictures one by one, each the one farthest from all picked before; the first is the most central."""

    def pick(self, features: Tensor, count: int) -> Tensor:
        """In the order they cover the class."""
        return k_centre(features, features, count)
