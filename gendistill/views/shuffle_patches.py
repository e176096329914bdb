"""Strips of a picture change places, first columns and then rows (RDED, Sun et al., CVPR 2024), https://arxiv.org/abs/2312.03526.

A picture that is a mosaic of several shows them in another arrangement each time; 2 x 2 of them have four.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Operation
from gendistill.views.numbers import Draw


@dataclass(frozen=True)
class ShufflePatches(Operation):
    """The picture is cut into columns, which are put side by side in another order, and so are its rows.

    parts  strips in each direction; the last one takes what a side leaves over
    """

    parts: int = 2

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise UserError(f"parts={self.parts}: at least one")

    def __call__(self, pixels: Pixels, draw: Draw) -> Pixels:
        """The rearranged pictures.

        Raises:
            UserError: a side has fewer pixels than parts are wanted.
        """
        height, width = pixels.shape[2:]
        if min(height, width) < self.parts:
            raise UserError(f"pictures of {width} x {height} px cannot be cut into {self.parts} strips")
        orders = (self.order(draw(self.parts), size) for size in (width, height))
        columns, rows = (beside(order, pixels).expand(len(pixels), -1) for order in orders)
        pixels = pixels.gather(3, columns.view(-1, 1, 1, width).expand_as(pixels))
        return pixels.gather(2, rows.view(-1, 1, height, 1).expand_as(pixels))

    def order(self, keys: Tensor, size: int) -> Tensor:
        """Where along a side each pixel comes from, (n, size): strips are put in the order of their ``keys`` (n, parts)."""
        strip = (torch.arange(size, device=keys.device) // (size // self.parts)).clamp_max(self.parts - 1)
        return keys[:, strip].argsort(dim=1, stable=True)
