"""DiM (Wang et al., 2023), https://arxiv.org/abs/2303.04707: what a network says of a real picture and of a synthetic one.

    loss_class = n mean_i mean_k ( log softmax f(A(x_i))_k - log softmax f(A(s_i))_k )^2

where x_i is a real picture of the class of s_i, drawn for the pair. Unlike a distance of means it holds every picture to the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from gendistill.nets.sampling import Network
from gendistill.objectives.matching import FeatureMatching, Key
from gendistill.types import Pixels


@dataclass(frozen=True)
class LogitMatching(FeatureMatching):
    """Mean squared difference of log-probabilities, picture by picture, times the number of synthetic pictures.

    networks  what looks at the pictures, anew at every step; they must know the classes to be of use
    batch     real pictures per class and step, of which each synthetic one is paired with one
    augment   the same random change to both sides, None for none
    """

    def look(self, net: Network, pixels: Pixels) -> Tensor:
        """Log-probabilities of all classes, (n, k)."""
        return cast(nn.Module, net)(pixels).log_softmax(1)

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """Of the pairs; real pictures are taken again where there are fewer of them."""
        partners = real[torch.arange(len(synthetic), device=real.device) % len(real)]
        return (partners - synthetic).square().mean()
