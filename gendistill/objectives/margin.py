"""Margin loss of targeted attacks (Carlini & Wagner, SP 2017), https://arxiv.org/abs/1608.04644.

loss_picture = mean_teachers max_{i != label} z_i - z_label        (f_6 of section V.A, without its bound)

Teachers shall be sure by a margin. Unlike cross-entropy it does not fade where a teacher is sure already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets.trained import Trained
from gendistill.objectives.taught import Taught
from gendistill.types import Labels, Losses


@dataclass(frozen=True)
class Margin(Taught):
    """How far the highest logit of another class is above that of the asked class; negative where teachers agree with it.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    """

    teachers: tuple[Any, ...] = (Trained(),)
    weight: float = 1.0
    scope = "picture"

    def bind(self, context: Context) -> Loss:
        """One number per picture, in logits: the mean over teachers."""
        nets = self.nets(context)

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            return torch.stack([-margin(net(synthetic.pixels), labels) for net in nets]).mean(0)

        return loss


def margin(logits: Tensor, labels: Labels) -> Losses:
    """The logit of the label less the highest other one, (n,)."""
    own = logits.gather(1, labels.view(-1, 1)).squeeze(1)
    others = logits.scatter(1, labels.view(-1, 1), float("-inf"))
    return own - others.amax(1)
