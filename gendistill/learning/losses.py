"""The loss a student needs for soft labels, in plain torch, for transformers' Trainer and for timm.

For one picture with teacher log-probabilities ``log p`` and student logits ``z`` (Hinton, Vinyals & Dean 2015,
https://arxiv.org/abs/1503.02531, section 2: gradients scale as 1/T², so the loss is multiplied by T²):

    T² · KL( softmax(log p / T) || softmax(z / T) )

Log-probabilities at temperature 1 are enough for every T, because softmax ignores a constant added to all classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def divergence(logits: Tensor, log_probs: Tensor, temperature: float = 1.0) -> Tensor:
    """T² · KL of softened teacher and student, (n,) in nats; a teacher's log-probability may be -inf."""
    if logits.shape != log_probs.shape:
        raise ValueError(
            f"soft labels of shape {tuple(log_probs.shape)} do not fit logits of shape {tuple(logits.shape)}; "
            "both must be (pictures, classes)"
        )
    teacher = F.log_softmax(log_probs.to(logits.dtype) / temperature, dim=-1)
    student = F.log_softmax(logits / temperature, dim=-1)
    probability = teacher.exp()
    # 0 · log 0 is 0 here; written so that neither value nor gradient meets the infinity.
    difference = torch.where(probability > 0, teacher, 0) - student
    return temperature**2 * (probability * difference).sum(-1)


def soft_cross_entropy(
    logits: Tensor, log_probs: Tensor, temperature: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Mean over pictures of T² · KL, in nats: cross-entropy with soft labels, less the labels' own entropy.

    ``weight`` (n,) makes it a weighted mean, divided by the sum of the weights.
    """
    each = divergence(logits, log_probs, temperature)
    return each.mean() if weight is None else (weight * each).sum() / weight.sum()


def label_loss(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Loss per picture, (n,): `divergence` for (n, k) log-probabilities, cross-entropy for (n,) class indices."""
    if labels.is_floating_point():
        return divergence(logits, labels, temperature)
    return F.cross_entropy(logits, labels, reduction="none")


def trainer_loss(
    outputs: Mapping[str, Any], labels: Tensor, num_items_in_batch: Tensor | int | None = None, temperature: float = 1.0
) -> Tensor:
    """The loss for ``transformers.Trainer(compute_loss_func=trainer_loss)``: class indices or log-probabilities.

    Another temperature: ``functools.partial(trainer_loss, temperature=20.0)``. The Trainer needs
    ``remove_unused_columns=False``, and its batches the labels under "labels".
    """
    each = label_loss(outputs["logits"], labels, temperature)
    if num_items_in_batch is None:
        return each.mean()
    # The Trainer counts the numbers in "labels" over all accumulated batches, so a vector of k counts k times.
    return each.sum() / (num_items_in_batch / (labels.shape[-1] if labels.is_floating_point() else 1))


class SoftTargetLoss(nn.Module):
    """The loss as a module, where timm or a torch loop takes a criterion; the mean over pictures."""

    def __init__(self, temperature: float = 1.0) -> None:
        """``temperature`` is dimensionless; 1 leaves the labels as they are."""
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Targets are (n, k) log-probabilities or (n,) class indices."""
        return label_loss(logits, targets, self.temperature).mean()

    def extra_repr(self) -> str:
        """What is printed between the brackets."""
        return f"temperature={self.temperature}"
