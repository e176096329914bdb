"""DSDM (Li et al., ACM MM 2024), https://openreview.net/forum?id=Karxz3LH0u: features of a class vary together as they do really.

    loss_class = n / d | C_real - C_synthetic |^2,   C = mean (f - mean f)(f - mean f)^T,  d features

DSDM weights this term by 50 and adds `MeanFeatures`, weighted by 1, which sees the same pictures at every step if its networks
are the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gendistill.context import Context
from gendistill.draft import Loss
from gendistill.objectives.matching import FeatureMatching, Key
from gendistill.types import UserError


@dataclass(frozen=True)
class ClassCovariance(FeatureMatching):
    """Squared difference of class covariances per feature, times the number of synthetic pictures.

    networks  what looks at the pictures, anew at every step
    batch     real pictures per class and step
    augment   the same random change to both sides, None for none
    """

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order.

        Raises:
            UserError: classes have one picture, which varies with none.
        """
        if context.ipc < 2:
            raise UserError(
                f"ClassCovariance compares how pictures of a class vary: ipc={context.ipc} is too few, use 2"
            )
        return super().bind(context)

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """Over all pairs of features, by the number of features."""
        return covariance_distance(real, synthetic) / real.shape[1]


def covariance_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances of two sets of points, (m, d) and (n, d).

    By inner products of the pictures, |A^T A - B^T B|^2 = |A A^T|^2 + |B B^T|^2 - 2 |A B^T|^2: pictures are fewer than features.
    """
    a, b = ((points - points.mean(0)) / len(points) ** 0.5 for points in (real, synthetic))
    return (a @ a.T).square().sum() + (b @ b.T).square().sum() - 2 * (a @ b.T).square().sum()
