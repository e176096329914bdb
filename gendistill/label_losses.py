"""How a student learns from soft labels: what is minimised, per picture, given its logits and the labels' log-probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.losses import divergence
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

    temperature  of both; None takes that of the labels
    squared      times T^2, so that gradients keep their size; without it, as SRe2L and RDED do, SGD steps shrink by 1 / T^2
    """

    temperature: float | None = None
    squared: bool = True

    def __post_init__(self) -> None:
        if self.temperature is not None and self.temperature <= 0:
            raise UserError(f"temperature={self.temperature} must be above 0")

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """T^2 KL, or KL."""
        t = self.temperature or temperature
        found = divergence(logits, log_probs, t)
        return found if self.squared else found / t**2


@dataclass(frozen=True)
class AlignedDivergence(LabelLoss):
    """KL to a student at the temperature that fits the labels best (LPQLD, Yan et al. 2025).

    KL( softmax(log p / T) || softmax(z / s) ),  s of ``choices`` at which its mean over the batch is least

    Without the alignment a label kept sharp by few classes asks for logits far larger than a student should have.

    choices  temperatures of the student
    """

    choices: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices or min(self.choices) <= 0:
            raise UserError(f"choices={self.choices}: temperatures above 0")

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """KL at the chosen temperature; the choice has no gradient."""
        softened = (log_probs / temperature).log_softmax(1)
        with torch.no_grad():
            best = min(self.choices, key=lambda s: float(divergence(logits / s, softened).sum()))
        return divergence(logits / best, softened)


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
        if not bool(torch.isfinite(log_probs).all()):
            raise UserError(
                "a squared error of logits needs labels that give every class a probability above 0: keep all classes"
            )
        wanted = log_probs - log_probs.mean(1, keepdim=True)
        found = logits - logits.mean(1, keepdim=True)
        return (found - wanted).square().mean(1) + self.weight * F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class CosineDistance(LabelLoss):
    """1 - cosine of logits and refined labels (GIFT, Shang et al., ICLR 2025), https://arxiv.org/abs/2405.14736.

    1 - cos(z, p / |p| + refine * s / |s|),  s the class with label smoothing; no temperature of the student

    refine     weight of the smoothed class
    smoothing  of it
    """

    refine: float = 0.1
    smoothing: float = 0.1

    def __call__(self, logits: Tensor, log_probs: LogProbs, labels: Labels, temperature: float) -> Tensor:
        """The distance, in [0, 2]."""
        k = logits.shape[1]
        smooth = F.one_hot(labels, k).to(logits.dtype) * (1 - self.smoothing) + self.smoothing / k
        wanted = F.normalize((log_probs / temperature).softmax(1), dim=1) + self.refine * F.normalize(smooth, dim=1)
        return 1 - F.cosine_similarity(logits, wanted, dim=1)
