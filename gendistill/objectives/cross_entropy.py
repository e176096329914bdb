"""Teachers name the wanted class: - log p(label | picture), averaged over an ensemble (Dhariwal & Nichol, 2021; SRe2L, 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets.trained import Trained
from gendistill.objectives.taught import Taught
from gendistill.types import Losses


@dataclass(frozen=True)
class CrossEntropy(Taught):
    """Cross-entropy of the teachers' answers with the class that was asked for.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    """

    teachers: tuple[Any, ...] = (Trained(),)
    weight: float = 1.0
    scope = "picture"

    def bind(self, context: Context) -> Loss:
        """One number per picture: the mean over teachers of the cross-entropy."""
        nets = self.nets(context)

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            return torch.stack([F.cross_entropy(net(synthetic.pixels), labels, reduction="none") for net in nets]).mean(
                0
            )

        return loss
