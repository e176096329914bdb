"""Herding (Welling, ICML 2009), https://doi.org/10.1145/1553374.1553517: real pictures whose mean feature follows the class's.

x_k = argmin_x | mean of the class - (f(x_1) + ... + f(x_(k-1)) + f(x)) / k |^2        (without putting back)

in features of length 1, as iCaRL (Rebuffi et al., CVPR 2017) has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from gendistill.anchors.greedy import Greedy, herding


@dataclass(frozen=True)
class Herding(Greedy):
    """Real pictures one by one, each the one that brings the mean of the picked nearest to the mean of the class."""

    def pick(self, features: Tensor, count: int) -> Tensor:
        """In the order of herding."""
        unit = F.normalize(features, dim=1)
        return herding(unit, unit, count)
