"""How a student learns from soft labels: what is minimised, per picture, given its logits and the labels' log-probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.learning.losses import divergence
from gendistill.types import Labels, LogProbs, UserError


class LabelLoss(ABC):
    """A loss for soft labels; a frozen dataclass."""

    @abstractmethod
    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """Loss per picture, (n,), in nats or squared logits.

        Args:
            logits: the student's, (n, k).
            log_probs: the teacher's at temperature 1, (n, k).
            labels: (n,) the class each picture was made for.
            temperature: the one that the labels ask for.
        """


@dataclass(frozen=True)
class Divergence(LabelLoss):
    """KL of softened teacher and student (Hinton, Vinyals & Dean 2015), https://arxiv.org/abs/1503.02531.

    squared  times T^2, T that of the labels, so that gradients keep their size; without it, as in SRe2L and RDED, SGD steps shrink
    """

    squared: bool = True

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """T^2 KL, or KL."""
        found = divergence(logits, log_probs, temperature)
        return found if self.squared else found / temperature**2


@dataclass(frozen=True)
class AlignedDivergence(LabelLoss):
    """KL to a student at the temperature that fits the labels best.

    LPQLD (Xiao & He, TPAMI 2025), https://ieeexplore.ieee.org/document/11395619:

    KL( softmax(log p / T) || softmax(z / s) ),  s of evenly spaced ones at which its mean over the batch is least

    Without the alignment a label kept sharp by few classes asks for logits far larger than a student should have. Published, s is
    that of the last batch of the epoch before; here every batch has its own, and nothing is remembered.

    least, most  of the student's temperatures
    choices      how many of them
    """

    least: float = 0.01
    most: float = 1.0
    choices: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most or self.choices < 1:
            raise UserError(
                f"a student's temperature is one of at least one choice, from least above 0 to most, got {self.choices} from "
                f"{self.least} to {self.most}"
            )

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """KL at the chosen temperature; the choice has no gradient."""
        softened = (log_probs / temperature).log_softmax(1)
        with torch.no_grad():
            best = lowest(
                torch.linspace(self.least, self.most, self.choices).tolist(),
                lambda s: float(divergence(logits / s, softened).sum()),
            )
        return divergence(logits / best, softened)


def lowest(places: Sequence[float], value: Callable[[float], float]) -> float:
    """Where among ascending places a value that falls, then rises, is lowest: so does KL in 1 / s, where it is convex.

    By halving, so that a hundred places cost a dozen values.
    """
    low, high = 0, len(places) - 1
    while low < high:
        middle = (low + high) // 2
        if value(places[middle]) <= value(places[middle + 1]):
            high = middle
        else:
            low = middle + 1
    return places[low]


@dataclass(frozen=True)
class LogitError(LabelLoss):
    """Mean squared error of logits, and a little cross-entropy (G-VBSM, Shao et al., CVPR 2024), https://arxiv.org/abs/2311.17950.

    mean_k (z - t)^2 + weight * cross-entropy,  of logits less their mean over classes: labels are kept as log-probabilities, which
    do not say it

    weight  of the cross-entropy with the class; EDC takes 0.025
    """

    weight: float = 0.025

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """The error at temperature 1, whatever the labels ask for."""
        found = logits - logits.mean(1, keepdim=True)
        return (found - centred(log_probs)).square().mean(1) + self.weight * F.cross_entropy(
            logits, labels, reduction="none"
        )


@dataclass(frozen=True)
class CosineDistance(LabelLoss):
    """1 - cosine of logits and refined labels (GIFT, Shang et al., ICLR 2025), https://arxiv.org/abs/2405.14736.

    1 - cos(z, t / |t| + refine * s / |s|),  t the teacher's logits, s_y = 1 - smoothing, s_k = smoothing / (classes - 1) else

    Logits are as log-probabilities keep them, less their mean over classes, which of a network that was trained is near 0. There is
    no temperature. The class is that of the picture itself, also where a view mixes it with another, which GIFT's views do not.

    refine     weight of the smoothed class
    smoothing  of it
    """

    refine: float = 0.1
    smoothing: float = 0.1

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """The distance, in [0, 2], whatever temperature the labels ask for."""
        k = logits.shape[1]
        smooth = torch.full_like(logits, self.smoothing / max(1, k - 1))
        smooth = smooth.scatter(1, labels.unsqueeze(1), 1 - self.smoothing)
        wanted = F.normalize(centred(log_probs), dim=1) + self.refine * F.normalize(smooth, dim=1)
        return 1 - F.cosine_similarity(logits, wanted, dim=1)


def centred(log_probs: LogProbs) -> Tensor:
    """Logits less their mean over classes, from log-probabilities.

    Raises:
        UserError: a class was dropped, and its logit with it.
    """
    if not bool(torch.isfinite(log_probs).all()):
        raise UserError("this loss takes logits, which classes of probability 0 have none of: keep all classes")
    return log_probs - log_probs.mean(1, keepdim=True)
