"""Whether a student is as sure as it is right: the expected calibration error (Guo et al., ICML 2017), https://arxiv.org/abs/1706.04599.

    ECE = sum_b |b| / n  | accuracy(b) - confidence(b) |        over bins b of equal width by the highest probability (Eq. 3)

and the two proper scores: negative log-likelihood, and the Brier score sum_k (p_k - [k = y])^2, a mean over pictures in [0, 2].
`fit_temperature` is found in `gendistill.nets.temperature`, where labelers reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.nets.logits import check_logits
from gendistill.nets.temperature import negative_log_likelihood
from gendistill.types import Labels, UserError


@dataclass(frozen=True)
class Bin:
    """Pictures whose highest probability is in (low, high].

    pictures    how many
    confidence  mean of their highest probabilities, in [0, 1]
    accuracy    share that is classified right, in [0, 1]
    """

    low: float
    high: float
    pictures: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities may be believed; all are better when lower.

    ece   expected calibration error, in [0, 1]
    nll   mean negative log-likelihood, in nats
    brier mean Brier score, in [0, 2]
    bins  those with pictures, by confidence: a reliability diagram
    """

    ece: float
    nll: float
    brier: float
    bins: tuple[Bin, ...]


def calibration(logits: Tensor, labels: Labels, bins: int = 15) -> Calibration:
    """Calibration of logits (n, k) with labels (n,); divide them by a temperature first to see what that does."""
    check_logits(logits, labels)
    if bins < 1:
        raise UserError(f"bins={bins}: at least one is needed")
    probabilities = logits.double().softmax(1)
    found = reliability(probabilities, labels, bins)
    return Calibration(
        ece=sum(one.pictures * abs(one.accuracy - one.confidence) for one in found) / len(labels),
        nll=negative_log_likelihood(logits, labels),
        brier=brier(probabilities, labels),
        bins=found,
    )


def reliability(probabilities: Tensor, labels: Labels, bins: int) -> tuple[Bin, ...]:
    """Bins of equal width over [0, 1] that hold pictures."""
    confidence, taken = probabilities.max(1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    # Between the inner edges: probabilities of 1 belong to the last bin, also those a rounding above 1.
    place = torch.bucketize(confidence, edges[1:-1])
    found = []
    for index in place.unique().tolist():
        mine = place == index
        right = (taken == labels)[mine].double()
        low, high = edges[index : index + 2].tolist()
        found.append(Bin(low, high, len(right), float(confidence[mine].mean()), float(right.mean())))
    return tuple(found)


def brier(probabilities: Tensor, labels: Labels) -> float:
    """Mean over pictures of the squared distance to the label, a vector with a single 1."""
    wanted = F.one_hot(labels, probabilities.shape[1])
    return float((probabilities - wanted).square().sum(1).mean())
