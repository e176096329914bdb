"""ConvNet-D, the student of the field (Gidaris & Komodakis, CVPR 2018; as in Zhao et al., ICLR 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from gendistill.nets.base import Classifier, Shape, norm_layer
from gendistill.nets.halving import Halving
from gendistill.types import UserError


@dataclass(frozen=True)
class ConvNet:
    """Blocks of 3x3 convolution, normalisation, ReLU and 2x2 average pooling, then a linear head.

    depth  number of blocks: 3 for 32 px, 4 for 64, 5 for 128, 6 for 224
    width  channels of every block
    """

    depth: int = 3
    width: int = 128
    norm: Literal["instance", "batch", "none"] = "instance"

    def __str__(self) -> str:
        return (
            f"ConvNet-{self.depth}"
            + (f"/{self.width}" if self.width != 128 else "")
            + ("-BN" if self.norm == "batch" else "")
        )

    def build(self, shape: Shape) -> Classifier:
        """A new network.

        Raises:
            UserError: the pictures are too small to be halved ``depth`` times.
        """
        left = shape.size >> self.depth
        if left < 1:
            raise UserError(
                f"{self} halves pictures {self.depth} times; {shape.size} px are too few, use depth={shape.size.bit_length() - 1}"
            )
        layers: list[nn.Module] = []
        channels = shape.channels
        for _ in range(self.depth):
            layers += [
                nn.Conv2d(channels, self.width, 3, padding=1),
                norm_layer(self.norm, self.width),
                nn.ReLU(inplace=True),
                Halving(),
            ]
            channels = self.width
        activations = range(2, len(layers), 4)  # a block shows its ReLU, before the pooling
        head = nn.Linear(self.width * left * left, shape.classes)
        return Classifier(nn.Sequential(*layers), head, shape, activations)
