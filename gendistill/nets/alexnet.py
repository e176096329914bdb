"""AlexNet (Krizhevsky et al., NeurIPS 2012) for small pictures, as in dataset condensation (Zhao et al., ICLR 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from gendistill.nets.base import Classifier, Shape, norm_layer

LAYERS = ((2, 5, True), (3, 5, True), (4, 3, False), (3, 3, False), (3, 3, True))
"""Of each convolution: channels in units of ``width``, the kernel, and whether a 2x2 maximum comes after it."""


@dataclass(frozen=True)
class AlexNet:
    """Five convolutions without strides, of 5x5 and 3x3, three of them with a 2x2 maximum after them, and a linear head.

    Pictures below 32 px are framed to that size by the padding of the first convolution, as the field does with 28 px.

    width  half the channels of the first convolution
    """

    width: int = 64
    norm: Literal["instance", "batch", "none"] = "none"

    def __str__(self) -> str:
        return (
            "AlexNet"
            + (f"/{self.width}" if self.width != 64 else "")
            + {"instance": "-IN", "batch": "-BN", "none": ""}[self.norm]
        )

    def build(self, shape: Shape) -> Classifier:
        """A new network."""
        layers: list[nn.Module] = []
        frame = max(0, 33 - shape.size) // 2
        channels, activations = shape.channels, []
        for times, kernel, pool in LAYERS:
            padding = kernel // 2 if layers else kernel // 2 + frame
            outside = times * self.width
            layers += [nn.Conv2d(channels, outside, kernel, padding=padding), norm_layer(self.norm, outside), nn.ReLU()]
            channels = outside
            if pool:
                activations.append(len(layers) - 1)  # a block shows its last ReLU, before the pooling
                layers.append(nn.MaxPool2d(2))
        left = (shape.size + 2 * frame) >> len(activations)
        return Classifier(nn.Sequential(*layers), nn.Linear(channels * left * left, shape.classes), shape, activations)
