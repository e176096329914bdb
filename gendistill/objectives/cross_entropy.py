"""Teachers name the wanted class: - log p(label | picture), averaged over an ensemble (Dhariwal & Nichol, 2021; SRe2L, 2023)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from gendistill.context import Context
from gendistill.nets import trained
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Objective
from gendistill.types import Loss, Losses, Synthetic, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Cross-entropy of the teachers' answers with the class that was asked for.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    """

    teachers: tuple[Any, ...] = (Trained(),)
    weight: float = 1.0
    scope = "picture"

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", trained.as_references(self.teachers))
        if not self.teachers:
            raise UserError("CrossEntropy needs at least one teacher, for example Trained(ConvNet())")

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return [trained.origin(reference, licence) for reference in self.teachers]

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the teachers that are trained in place."""
        for reference in self.teachers:
            yield from trained.work(reference, context)

    def bind(self, context: Context) -> Loss:
        """One number per picture: the mean over teachers of the cross-entropy."""
        nets = [
            context.once(("net", reference), lambda r=reference: trained.load(r, context))
            for reference in self.teachers
        ]

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            return torch.stack([F.cross_entropy(net(synthetic.pixels), labels, reduction="none") for net in nets]).mean(
                0
            )

        return loss
