"""ResNets (He et al., CVPR 2016) with the stem and pooling that the field uses, and ResNetAP-10 (Kim et al., ICML 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.init import kaiming_normal_

from gendistill.nets.base import Classifier, Shape, norm_layer
from gendistill.types import UserError

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks of each stage, by depth."""
EXPANSION = {50: 4, 101: 4}
"""In these depths blocks are bottlenecks, with so many times the channels outside that they have inside."""
STEMS = {"small": (3, 1, 1), "mid": (3, 1, 2), "large": (7, 2, 2)}
"""Kernel of the first convolution, its stride, and by how much is pooled after it; all that shrinks is pooling where ``pool``."""


class Block(nn.Module):
    """Convolutions around a shortcut; halves the size by stride, or by a convolution without stride and average pooling."""

    def __init__(self, main: nn.Sequential, inside: int, outside: int, stride: int, norm: str, pool: bool) -> None:
        """``main`` is the way beside the shortcut, from ``inside`` channels to ``outside``."""
        super().__init__()
        self.main = main
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inside, outside, 1, 1 if pool else stride, bias=False), _shrink(stride, pool),
            norm_layer(norm, outside),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Half the size where the stage changes, else the same."""
        return (self.main(x) + self.shortcut(x)).relu()


def basic(inside: int, width: int, stride: int, norm: str, pool: bool) -> Block:
    """Two 3x3 convolutions."""
    main = nn.Sequential(
        nn.Conv2d(inside, width, 3, 1 if pool else stride, 1, bias=False), norm_layer(norm, width), nn.ReLU(),
        _shrink(stride, pool), nn.Conv2d(width, width, 3, 1, 1, bias=False), norm_layer(norm, width),
    )  # fmt: skip
    return Block(main, inside, width, stride, norm, pool)


def bottleneck(inside: int, width: int, stride: int, norm: str, pool: bool, expansion: int) -> Block:
    """A 3x3 convolution between two of 1x1. The 3x3 one strides, as in torchvision and in the field; the paper's first did."""
    outside = expansion * width
    main = nn.Sequential(
        nn.Conv2d(inside, width, 1, bias=False), norm_layer(norm, width), nn.ReLU(),
        nn.Conv2d(width, width, 3, 1 if pool else stride, 1, bias=False), norm_layer(norm, width), nn.ReLU(),
        _shrink(stride, pool), nn.Conv2d(width, outside, 1, bias=False), norm_layer(norm, outside),
    )  # fmt: skip
    return Block(main, inside, outside, stride, norm, pool)


def _shrink(stride: int, pool: bool) -> nn.Module:
    return nn.AvgPool2d(2) if pool and stride == 2 else nn.Identity()


@dataclass(frozen=True)
class ResNet:
    """A residual network: of basic blocks, or of bottlenecks where it has 50 layers or more.

    depth  10, 18, 34, 50 or 101 layers
    width  channels inside the blocks of the first stage; each of the four stages doubles them
    stem   "small": 3x3 without pooling, for 16 to 64 px; "mid": 3x3 and pooling, to 128 px; "large": 7x7 with stride 2 and pooling
    pool   average pooling in the place of strides and of the stem's maximum (the AP of ResNetAP)
    init   weights of the convolutions: "he" draws them by what goes out, as torchvision and IDC do (He et al., ICCV 2015); "torch"
           leaves them as torch draws them, as dataset condensation does
    """

    depth: Literal[10, 18, 34, 50, 101] = 18
    width: int = 64
    norm: Literal["instance", "batch", "none"] = "batch"
    stem: Literal["small", "mid", "large"] = "small"
    pool: bool = False
    init: Literal["he", "torch"] = "he"

    def __str__(self) -> str:
        return f"ResNet{'AP' if self.pool else ''}-{self.depth}" + (f"/{self.width}" if self.width != 64 else "")

    def build(self, shape: Shape) -> Classifier:
        """A new network.

        Raises:
            UserError: the pictures are too small for four stages.
        """
        kernel, stride, pooled = STEMS[self.stem]
        least = 8 * stride * pooled * (2 if self.norm == "instance" else 1)  # a single number less its mean is nothing
        if shape.size < least:
            raise UserError(
                f"{self} with stem={self.stem!r} needs pictures of at least {least} px, these have {shape.size}"
            )
        if self.pool:
            stride, pooled = 1, stride * pooled
        layers: list[nn.Module] = [nn.Conv2d(shape.channels, self.width, kernel, stride, kernel // 2, bias=False),
                                   norm_layer(self.norm, self.width), nn.ReLU()]  # fmt: skip
        if pooled > 1:
            layers.append(nn.AvgPool2d(pooled) if self.pool else nn.MaxPool2d(3, pooled, 1))
        channels, ends = self.width, []
        for stage, count in enumerate(BLOCKS[self.depth]):
            for block in range(count):
                layers.append(self._block(channels, self.width * 2**stage, 2 if stage and not block else 1))
                channels = self.width * 2**stage * EXPANSION.get(self.depth, 1)
            ends.append(len(layers) - 1)
        body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        if self.init == "he":
            for part in body.modules():
                if isinstance(part, nn.Conv2d):
                    kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        return Classifier(body, nn.Linear(channels, shape.classes), shape, ends)

    def _block(self, inside: int, width: int, stride: int) -> Block:
        if self.depth in EXPANSION:
            return bottleneck(inside, width, stride, self.norm, self.pool, EXPANSION[self.depth])
        return basic(inside, width, stride, self.norm, self.pool)
