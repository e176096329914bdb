"""Restricted score matching, RSM (CVPR 2026), https://cvpr.thecvf.com/virtual/2026/poster/39190: small clean estimates.

loss_picture = mean | clean |        (from notes, unverified)

added to the diffusion loss of a fine-tuning. It draws every number of a latent towards 0 by the same amount, those that the real
pictures do not need to 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.capabilities import Encodes
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective
from gendistill.types import Losses


@dataclass(frozen=True)
class Sparsity(Objective):
    """The mean absolute number of a clean latent."""

    weight: float = 0.1
    scope = "picture"
    looks_at_real = False
    needs = (Encodes,)  # not to encode: a prior that does holds its pictures as one latent

    def bind(self, context: Context) -> Loss:
        """One number per picture."""

        def loss(synthetic: Synthetic) -> Losses:
            return synthetic.clean.flatten(1).abs().mean(1)

        return loss
