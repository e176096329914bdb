"""Distribution matching (Zhao & Bilen, WACV 2023), https://arxiv.org/abs/2110.04181.

    loss_class = n | mean_real f(A(x)) - mean_synthetic f(A(s)) |^2        (Eq. 4 per class, times its n pictures)

with a freshly drawn random network f at every step, and one siamese augmentation A for both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gendistill.objectives.matching import FeatureMatching, Key, mean_distance


@dataclass(frozen=True)
class MeanFeatures(FeatureMatching):
    """Squared distance of class-mean features, real to synthetic, times the number of synthetic pictures.

    networks  what looks at the pictures, anew at every step
    batch     real pictures per class and step
    augment   the same random change to both sides, None for none
    """

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """Of the means."""
        return mean_distance(real, synthetic)
