"""Pictures look like the prompt of their class to CLIP (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020.

loss_picture = - log softmax_k( scale cos( image(picture), text(prompt k) ) )[label]
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets import trained
from gendistill.nets.zero_shot import Clip
from gendistill.objectives.base import Objective
from gendistill.types import Losses


@dataclass(frozen=True)
class ZeroShot(Clip, Objective):
    """Cross-entropy of a zero-shot classifier, which knows the classes by their names alone; its fields are those of `Clip`."""

    weight: float = 1.0
    scope = "picture"
    looks_at_real = False

    @property
    def answering(self) -> tuple[Clip, ...]:
        """The model itself."""
        return (self,)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The model."""
        return [trained.origin(self, licence)]

    def bind(self, context: Context) -> Loss:
        """One number per picture, in nats."""
        net = context.lasting(("net", self), lambda: trained.load(self, context))

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            return F.cross_entropy(net(synthetic.pixels), labels, reduction="none")

        return loss
