"""The ensemble relabeler: teachers trained on real pictures say what every finished picture is.

    logits   log softmax of the mean over teachers of their logits        (G-VBSM, EDC, D3HR)
    probs    log of the mean over teachers of softmax                     (deep ensembles)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.base import Labeler
from gendistill.nets import trained
from gendistill.types import Images, LogProbs, SoftLabels, UserError


class StaticLabels(SoftLabels):
    """One vector of log-probabilities per picture, the same in every view, stored as float32."""

    kind = "soft"

    def __init__(self, log_probs: LogProbs, temperature: float) -> None:
        """``log_probs`` (N, k) at temperature 1; ``temperature`` is for the student's loss."""
        self.log_probs, self.temperature = log_probs, temperature
        self.bytes = log_probs.numel() * 4

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """Log-probabilities of the pictures at these positions."""
        return self.log_probs[positions]


@dataclass(frozen=True)
class Relabel(Labeler):
    """Soft labels by an ensemble.

    teachers     references of classifiers, see `gendistill.nets.trained.load`
    average      what is averaged over teachers: there is no neutral choice, so there is no default
    temperature  of the student's loss with these labels
    """

    teachers: tuple[Any, ...]
    average: Literal["logits", "probs"]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.teachers:
            raise UserError("Relabel needs at least one teacher, for example Trained(ConvNet())")
        if self.average not in ("logits", "probs"):
            raise UserError(f"average={self.average!r}: 'logits' or 'probs'")
        if self.temperature <= 0:
            raise UserError(f"temperature={self.temperature} must be above 0")

    @torch.no_grad()
    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """One label per picture."""
        nets = [trained.load(reference, context) for reference in self.teachers]
        parts = []
        for positions in torch.arange(len(images)).split(256):
            pixels = images.pixels(positions).to(context.device)
            logits = torch.stack([net(pixels) for net in nets]).float()
            if self.average == "logits":
                mixed = logits.mean(0).log_softmax(1)
            else:
                mixed = logits.log_softmax(2).logsumexp(0) - math.log(len(nets))
            parts.append(mixed.cpu())
        return StaticLabels(torch.cat(parts), self.temperature)

    def describe(self) -> list[str]:
        """The teachers in words."""
        return [trained.describe(reference) for reference in self.teachers]
