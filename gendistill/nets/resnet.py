"""ResNets (He et al., CVPR 2016) with the stem and pooling that the field uses, and ResNetAP-10 (Kim et al., ICML 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from gendistill.nets.base import Classifier, Shape, norm_layer
from gendistill.types import UserError

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut; halves the size by stride, or by average pooling."""

    def __init__(self, inside: int, outside: int, stride: int, norm: str, pool: bool) -> None:
        """``pool`` replaces a strided convolution by a convolution and 2x2 average pooling."""
        super().__init__()
        step = 1 if pool else stride
        shrink = nn.AvgPool2d(2) if pool and stride == 2 else nn.Identity()
        self.main = nn.Sequential(
            nn.Conv2d(inside, outside, 3, step, 1, bias=False), norm_layer(norm, outside), nn.ReLU(), shrink,
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False), norm_layer(norm, outside),
        )  # fmt: skip
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inside, outside, 1, step, bias=False), nn.AvgPool2d(2) if pool and stride == 2 else nn.Identity(),
            norm_layer(norm, outside),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Twice the channels at half the size where the stage changes, else the same shape."""
        return (self.main(x) + self.shortcut(x)).relu()


@dataclass(frozen=True)
class ResNet:
    """A residual network of basic blocks.

    depth  10, 18 or 34 layers
    width  channels of the first stage; each of the four stages doubles them
    stem   "small": 3x3 without pooling, for 16 to 64 px; "large": 7x7 with stride 2 and pooling
    pool   halve by average pooling instead of strides (the AP of ResNetAP)
    """

    depth: Literal[10, 18, 34] = 18
    width: int = 64
    norm: Literal["instance", "batch", "none"] = "batch"
    stem: Literal["small", "large"] = "small"
    pool: bool = False

    def __str__(self) -> str:
        return f"ResNet{'AP' if self.pool else ''}-{self.depth}" + (f"/{self.width}" if self.width != 64 else "")

    def build(self, shape: Shape) -> Classifier:
        """A new network.

        Raises:
            UserError: the pictures are too small for four stages.
        """
        least = 8 if self.stem == "small" else 32
        if shape.size < least:
            raise UserError(
                f"{self} with stem={self.stem!r} needs pictures of at least {least} px, these have {shape.size}"
            )
        kernel, stride = (3, 1) if self.stem == "small" else (7, 2)
        layers: list[nn.Module] = [nn.Conv2d(shape.channels, self.width, kernel, stride, kernel // 2, bias=False),
                                   norm_layer(self.norm, self.width), nn.ReLU()]  # fmt: skip
        if self.stem == "large":
            layers.append(nn.MaxPool2d(3, 2, 1))
        channels, ends = self.width, []
        for stage, count in enumerate(BLOCKS[self.depth]):
            outside = self.width * 2**stage
            for block in range(count):
                layers.append(Block(channels, outside, 2 if stage and not block else 1, self.norm, self.pool))
                channels = outside
            ends.append(len(layers) - 1)
        return Classifier(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), channels, shape, ends)
