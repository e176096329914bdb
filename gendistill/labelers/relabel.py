"""The ensemble relabeler: teachers trained on real pictures say what every finished picture is.

logits   log softmax of the mean over teachers of their logits        (G-VBSM, EDC, D3HR)
probs    log of the mean over teachers of softmax                     (deep ensembles)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gendistill.context import Context, together
from gendistill.labelers.base import Labeler
from gendistill.nets import ensemble, trained
from gendistill.types import Images, LogProbs, Pixels, RealData, SoftLabels, UserError
from gendistill.work import Work


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
        object.__setattr__(self, "teachers", trained.as_references(self.teachers))
        if not self.teachers:
            raise UserError("Relabel needs at least one teacher, for example Trained(ConvNet())")
        if self.average not in ("logits", "probs"):
            raise UserError(f"average={self.average!r}: 'logits' or 'probs'")
        if self.temperature <= 0:
            raise UserError(f"temperature={self.temperature} must be above 0")

    def check(self, data: RealData) -> None:
        """Raise `UserError` if a teacher cannot be had."""
        ensemble.check(self.teachers)

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """One label per picture."""
        nets = [trained.load(reference, context) for reference in self.teachers]
        parts = torch.arange(len(images)).split(together(images.shape))
        labels = [self._mixed(nets, images.pixels(part).to(context.device)).cpu() for part in parts]
        return StaticLabels(torch.cat(labels), self.temperature)

    @torch.no_grad()
    def _mixed(self, nets: list[nn.Module], pixels: Pixels) -> LogProbs:
        logits = torch.stack([net(pixels) for net in nets]).float()
        if self.average == "logits":
            return logits.mean(0).log_softmax(1)
        return logits.log_softmax(2).logsumexp(0) - math.log(len(nets))

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """Training of the teachers that are trained in place, and one pass of each over the pictures."""
        for reference in self.teachers:
            yield from trained.work(reference, context)
        nets = [trained.load(reference, replace(context, dry=True)) for reference in self.teachers]
        probe = torch.zeros(min(together(images.shape), len(images)), *images.shape, device=context.device)
        yield Work("label", len(images) / len(probe), lambda: self._mixed(nets, probe), rows=len(probe))

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return [trained.origin(reference, licence) for reference in self.teachers]
