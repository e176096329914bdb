"""What every network of the package is: pixels in [0, 1] in, logits out, normalisation inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.types import Pixels, UserError


@dataclass(frozen=True)
class Shape:
    """What a classifier is built for.

    channels, size  of the square pictures
    classes         number of logits
    mean, std       of each channel, in pixel units; the network normalises by them
    """

    channels: int
    size: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@runtime_checkable
class Net(Protocol):
    """Settings of an architecture."""

    def build(self, shape: Shape) -> Classifier:
        """A new network with fresh weights from torch's global random stream."""
        ...


class Classifier(nn.Module):
    """A body that maps normalised pictures to features (n, d), and a head that maps these to logits (n, k)."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, head: nn.Module, shape: Shape, blocks: Sequence[int] = ()) -> None:
        """``blocks`` are the layers that end a block, of a body whose layers follow one another."""
        super().__init__()
        self.body, self.head, self.blocks = body, head, tuple(blocks)
        self.register_buffer("mean", _column(shape.mean))
        self.register_buffer("std", _column(shape.std))

    def normalised(self, pixels: Pixels) -> Tensor:
        """What the body is given."""
        return (pixels - self.mean) / self.std

    def features(self, pixels: Pixels) -> Tensor:
        """What the head sees, (n, d)."""
        return self.body(self.normalised(pixels)).flatten(1)

    def layers(self, pixels: Pixels) -> list[Tensor]:
        """What each block shows, (n, channels, h, w), first to last, and then the features, (n, d)."""
        x, shown = self.normalised(pixels), []
        for number, layer in enumerate(self.body.children()):
            x = layer(x)
            if number in self.blocks:
                shown.append(x)
        return [*shown, x.flatten(1)]

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits, (n, k)."""
        return self.head(self.features(pixels))


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def build(net: Net, shape: Shape, seed: int, device: torch.device) -> Classifier:
    """A new network whose weights follow from ``seed`` alone; the global random stream is left as it was.

    Raises:
        UserError: it has no width or no depth, or cannot take pictures of this shape.
    """
    for name in ("depth", "width"):
        if getattr(net, name, 1) < 1:
            raise UserError(f"{name}={getattr(net, name)}: a {type(net).__name__} needs at least 1")
    with seeds.as_global(seed):
        return net.build(shape).to(device)


def norm_layer(kind: str, channels: int) -> nn.Module:
    """Instance, batch or no normalisation; instance norm is group norm with a group per channel, affine, as in the field."""
    return {
        "instance": lambda: nn.GroupNorm(channels, channels),
        "batch": lambda: nn.BatchNorm2d(channels),
        "none": nn.Identity,
    }[kind]()
