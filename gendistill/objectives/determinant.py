"""The pictures of a class span a large volume (RSM + CGS, CVPR 2026; from notes, unverified).

    loss_class = - log det (K + eps I),   K_ij = cos(clean_i, clean_j)

the energy of a determinantal point process (Kulesza & Taskar, 2012, https://arxiv.org/abs/1207.6083). It is a sum over
pictures already, each adding the logarithm of what of it the others do not explain, so it is not multiplied by their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.capabilities import Encodes
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective, of_class
from gendistill.objectives.diversity import finished
from gendistill.objectives.representativeness import directions
from gendistill.types import Losses, UserError


@dataclass(frozen=True)
class Determinant(Objective):
    """Minus the log determinant of the cosines between the clean latents of a class.

    Pictures of the class that were finished before count as rows that are held fixed; what they span alone is taken off.

    eps  added to the diagonal: two equal pictures cost - log (2 eps)
    """

    eps: float = 1e-3
    weight: float = 1.0
    scope = "class"
    looks_at_real = False
    needs = (Encodes,)  # not to encode: a prior that does holds its pictures as one latent

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise UserError(f"Determinant needs eps > 0, got {self.eps}")

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""

        def one(index: int, synthetic: Synthetic) -> Tensor:
            clean = of_class(synthetic.clean, synthetic.labels, index)
            if not len(clean):
                return clean.sum()
            before = finished(synthetic, index)
            return log_volume(before, self.eps) - log_volume(torch.cat([before, clean]), self.eps)

        def loss(synthetic: Synthetic) -> Losses:
            return torch.stack([one(index, synthetic) for index in context.classes])

        return loss


def log_volume(latents: Tensor, eps: float) -> Tensor:
    """Log det (K + eps I) in float64, for its small eigenvalues, given as float32; 0 for no latents."""
    rows = directions(latents.double())
    diagonal = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    # A picture's cosine with itself is written as the number it is: a picture alone then has no gradient, not a rounded one.
    return torch.logdet((rows @ rows.T).masked_fill(diagonal, 1 + eps)).float()
