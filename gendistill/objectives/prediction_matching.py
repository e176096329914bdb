"""D2M (Sajedi et al., ECCV 2024), https://arxiv.org/abs/2411.12841: a network is as sure of a synthetic picture as of a real one.

    loss_class = n mean_i KL( softmax(f(A(x_i)) / T) || softmax(f(A(s_i)) / T) )

where x_i is a real picture of the class of s_i, drawn for the pair. Softened answers also tell which other classes it is like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill.nets.sampling import Network
from gendistill.objectives.matching import FeatureMatching, Key
from gendistill.types import Pixels, UserError


@dataclass(frozen=True)
class PredictionMatching(FeatureMatching):
    """Divergence of softened answers, real to synthetic, picture by picture, times the number of synthetic pictures.

    networks     what looks at the pictures, anew at every step; they must know the classes to be of use
    batch        real pictures per class and step, of which each synthetic one is paired with one
    augment      the same random change to both sides, None for none
    temperature  T, by which logits are divided
    """

    temperature: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise UserError(f"PredictionMatching needs temperature > 0, got {self.temperature}")

    def look(self, net: Network, pixels: Pixels) -> Tensor:
        """Log-probabilities of all classes at the temperature, (n, k)."""
        return (cast(nn.Module, net)(pixels) / self.temperature).log_softmax(1)

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """Of the pairs; real pictures are taken again where there are fewer of them."""
        partners = real[torch.arange(len(synthetic), device=real.device) % len(real)]
        return F.kl_div(synthetic, partners, reduction="batchmean", log_target=True)
