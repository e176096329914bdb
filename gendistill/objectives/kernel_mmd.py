"""M3D (Zhang et al., AAAI 2024), https://arxiv.org/abs/2312.15927: all moments of the features, by a kernel.

    loss_class = n (mean k(r, r') + mean k(s, s') - 2 mean k(r, s)),   k(a, b) = mean_f exp( - |a - b|^2 / (2 f h^2) )

with all pairs, a picture and itself among them: the square of a distance in the kernel's space, never negative. h^2 is the
median of the squared distances between all features that differ, f the bandwidths. Bandwidths by the median, and five kernels
averaged, are our choice: no code of the paper is public, and from memory it takes Gaussian kernels, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.objectives.matching import FeatureMatching, Key, squared_distances
from gendistill.types import UserError

SAME = 1e-5
"""Of the largest squared distance: below it two features are the same but for rounding."""


@dataclass(frozen=True)
class KernelMMD(FeatureMatching):
    """Maximum mean discrepancy of the features of a class under Gaussian kernels, times the number of synthetic pictures.

    networks    what looks at the pictures, anew at every step
    batch       real pictures per class and step
    augment     the same random change to both sides, None for none
    bandwidths  variances of the kernels, in medians of the squared distances that are not 0; their kernels are averaged
    """

    bandwidths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bandwidths or min(self.bandwidths) <= 0:
            raise UserError(f"KernelMMD needs bandwidths above 0, for example (0.5, 1.0, 2.0), got {self.bandwidths}")

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """In [0, 2]; 0 without a gradient where all features are the same."""
        points, m = torch.cat([real, synthetic]), len(real)
        squared = squared_distances(points, points)
        above = torch.ones_like(squared, dtype=torch.bool).triu(1)
        apart = squared.detach()[above]
        apart = apart[apart > SAME * apart.max()]  # where most features are the same, the median of all would be 0
        median = apart.median() if len(apart) else squared.new_ones(())
        kernel = torch.stack([(-squared / (2 * factor * median)).exp() for factor in self.bandwidths]).mean(0)
        return kernel[:m, :m].mean() + kernel[m:, m:].mean() - 2 * kernel[:m, m:].mean()
