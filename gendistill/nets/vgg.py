"""VGG-11 to 19 (Simonyan & Zisserman, ICLR 2015) for small pictures, as in dataset condensation (Zhao et al., ICLR 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from gendistill.nets.base import Classifier, Shape, norm_layer

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Of each stage, by depth."""
STAGES = (1, 2, 4, 8, 8)
"""Channels of each stage, in units of the first one's."""


@dataclass(frozen=True)
class VGG:
    """Five stages of 3x3 convolutions, each with a 2x2 maximum at its end, and one linear layer in place of three.

    Pictures below 32 px are framed to that size by the padding of the first convolution, as the field does with 28 px.

    depth  11, 13, 16 or 19: layers of the original, three of them linear
    width  channels of the first stage
    """

    depth: Literal[11, 13, 16, 19] = 11
    width: int = 64
    norm: Literal["instance", "batch", "none"] = "instance"

    def __str__(self) -> str:
        return (
            f"VGG-{self.depth}"
            + (f"/{self.width}" if self.width != 64 else "")
            + ("-BN" if self.norm == "batch" else "")
        )

    def build(self, shape: Shape) -> Classifier:
        """A new network."""
        layers: list[nn.Module] = []
        frame = max(0, 33 - shape.size) // 2
        channels, activations = shape.channels, []
        for count, times in zip(CONVOLUTIONS[self.depth], STAGES, strict=True):
            for _ in range(count):
                padding = 1 if layers else 1 + frame
                outside = times * self.width
                layers += [
                    nn.Conv2d(channels, outside, 3, padding=padding),
                    norm_layer(self.norm, outside),
                    nn.ReLU(),
                ]
                channels = outside
            activations.append(len(layers) - 1)  # a block shows its last ReLU, before the pooling
            layers.append(nn.MaxPool2d(2))
        left = (shape.size + 2 * frame) >> len(STAGES)
        return Classifier(nn.Sequential(*layers), nn.Linear(channels * left * left, shape.classes), shape, activations)
