"""Every picture is pulled towards its own mode of the class (MGD3: Chan-Santiago et al., ICML 2025), https://arxiv.org/abs/2505.18963.

loss_picture = 1/2 | clean - mode |^2,   whose gradient clean - mode is the published guidance
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.anchors.base import Anchors
from gendistill.anchors.modes import Modes
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective
from gendistill.objectives.by_slot import BySlot
from gendistill.types import Ids, Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class ModePull(Objective):
    """Half the squared distance of the clean latent to the anchor of the picture's slot.

    anchors  what to pull to, one clean point per slot
    """

    anchors: Anchors = Modes()
    weight: float = 1.0
    scope = "picture"
    curvature = 1.0

    def __post_init__(self) -> None:
        if self.anchors.noisy:
            raise UserError(
                f"ModePull pulls clean latents, and the points of {self.anchors!r} are noisy: begin at those by Start(...), and "
                "pull to clean ones, for example ModePull(Modes())"
            )

    @property
    def needs(self) -> tuple[type, ...]:
        """What finding the anchors needs."""
        return self.anchors.needs

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers that chose the anchors."""
        return self.anchors.origins(licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Finding the anchors."""
        return self.anchors.work(context)

    def bind(self, context: Context) -> Loss:
        """One number per picture. Classes that the context does not hold are an error of the caller."""
        wanted = BySlot(lambda ids: self._wanted(context, ids), context.device)

        def loss(synthetic: Synthetic) -> Losses:
            return 0.5 * (synthetic.clean - wanted(synthetic.ids)).square().flatten(1).sum(1)

        return loss

    def _wanted(self, context: Context, ids: Ids) -> Tensor:
        found = {
            index: self.anchors.find(context, index, ids[ids[:, 0] == index, 1])
            for index in ids[:, 0].unique().tolist()
        }
        points = {index: iter(rows) for index, rows in found.items()}
        return torch.stack([next(points[index]) for index in ids[:, 0].tolist()]).float()
