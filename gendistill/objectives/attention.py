"""DataDAM (Sajedi et al., ICCV 2023), https://arxiv.org/abs/2310.00093: where the network looks, block by block.

    a_l(x) = v / |v|,   v = sum over channels of |F_l(x)|^p at every place of block l
    loss_class = n ( sum_l | mean_real a_l - mean_synthetic a_l |^2  +  lambda | mean_real f - mean_synthetic f |^2 )

over all blocks but the last, which the features f stand for.

ATOM (Khaki et al., CVPR 2024 workshops), https://arxiv.org/abs/2405.01373, asks as well which channels answer: the sum is over the
places of a channel then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.nets.sampling import Network
from gendistill.objectives.matching import FeatureMatching, Key, mean_distance
from gendistill.types import Pixels, UserError


@dataclass(frozen=True)
class Attention(FeatureMatching):
    """Squared distance of class-mean attention maps and features, times the number of synthetic pictures.

    networks  what looks at the pictures, anew at every step; ConvNet or ResNet, whose blocks are known
    batch     real pictures per class and step
    augment   the same random change to both sides, None for none
    power     p, at least 1: the higher, the more the strongest channels count
    balance   lambda, weight of the features
    channels  how strongly each channel answers, instead of each place
    """

    power: float = 4.0
    balance: float = 0.01
    channels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power < 1 or self.balance < 0:
            raise UserError(
                f"Attention needs power >= 1 and balance >= 0, got power={self.power}, balance={self.balance}"
            )

    def look(self, net: Network, pixels: Pixels) -> Tensor:
        """Attention of all blocks but the last and weighted features, side by side: one mean distance is the whole loss."""
        *blocks, features = net.layers(pixels)
        maps = [attention(block, self.power, self.channels) for block in blocks[:-1]]
        return torch.cat([*maps, math.sqrt(self.balance) * features], 1)

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """Of the means."""
        return mean_distance(real, synthetic)


def attention(block: Tensor, power: float, channels: bool = False) -> Tensor:
    """How strongly a block (n, channels, h, w) answers at every place, or in every channel, of length 1 per picture."""
    strength = block.abs().pow(power)
    return F.normalize(strength.sum((2, 3)) if channels else strength.sum(1).flatten(1), dim=1)
