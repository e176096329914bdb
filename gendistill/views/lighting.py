"""Light as it varies over ImageNet (Krizhevsky, Sutskever & Hinton, NIPS 2012), https://doi.org/10.1145/3065386.

colour + sum_i a_i lambda_i p_i,    a_i ~ N(0, std^2),    lambda_i, p_i eigenvalues and eigenvectors of ImageNet's colours
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Operation
from gendistill.views.normal import normal_numbers
from gendistill.views.numbers import Draw

VALUES = (0.2175, 0.0188, 0.0045)
VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Rows are red, green and blue in [0, 1], columns the components; the numbers that the field's code has passed on."""


@dataclass(frozen=True)
class Lighting(Operation):
    """One colour is added to every pixel of a picture. Nothing is cut off at 0 and 1, as in the published code.

    std  deviation of the strength of each component
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        if self.std < 0:
            raise UserError(f"std={self.std} of the strength must be 0 or above")

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """The pictures in another light.

        Raises:
            UserError: they have no three colours.
        """
        if pixels.shape[1] != len(VECTORS):
            raise UserError(
                f"Lighting knows red, green and blue; these pictures have {pixels.shape[1]} channels, leave it out"
            )
        axes = torch.tensor(VECTORS) * torch.tensor(VALUES)
        strengths = self.std * normal_numbers(draw(3))
        # Not as a product of matrices, which some processors round otherwise by how many pictures there are.
        added = sum((one * axis for one, axis in zip(strengths.split(1, 1), axes.T, strict=True)), torch.zeros(3))
        return pixels + beside(added.to(pixels.dtype), pixels).unsqueeze(2).unsqueeze(3)
