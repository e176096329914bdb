"""Common corruptions of pictures (Hendrycks & Dietterich, ICLR 2019), https://arxiv.org/abs/1903.12261, in severities 1 to 5.

Those of the published nineteen that need no other file and no other library, with the strengths of CIFAR-10-C, Tiny ImageNet-C or
ImageNet-C, whichever is made of pictures nearest in size. Pictures come out as 8-bit ones, rounded where the published sets were
cut off.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor

from gendistill import pictures, seeds
from gendistill.types import Pixels, UserError

SEVERITIES = (1, 2, 3, 4, 5)
Change: TypeAlias = Callable[[Tensor, float, list[torch.Generator]], Tensor]
"""Pixels, a strength and a stream for each picture, to pixels that may leave [0, 1]."""


@dataclass(frozen=True)
class Corruption:
    """One way in which pictures go bad.

    name    as tables call it
    change  what happens
    small   strengths for pictures of 32 pixels a side, severities 1 to 5
    middle  for 64
    large   for 224
    """

    name: str
    change: Change = field(repr=False)
    small: tuple[float, ...]
    middle: tuple[float, ...]
    large: tuple[float, ...]

    def __str__(self) -> str:
        return self.name

    def __call__(self, pixels: Pixels, severity: int, streams: list[torch.Generator]) -> Pixels:
        """The pictures after it, on the device they came from."""
        if severity not in SEVERITIES:
            raise UserError(f"severity={severity}: there are {SEVERITIES[0]} to {SEVERITIES[-1]}")
        side = math.sqrt(pixels.shape[-1] * pixels.shape[-2])
        known = {32: self.small, 64: self.middle, 224: self.large}
        like = min(known, key=lambda size: abs(math.log(size / side)))
        changed = self.change(pixels.cpu(), known[like][severity - 1], streams)
        return (255 * changed.clamp(0, 1)).round().div(255).to(pixels.device)


def gaussian_noise(pixels: Tensor, deviation: float, streams: list[torch.Generator]) -> Tensor:
    """Noise of this deviation."""
    return pixels + deviation * seeds.normal(streams, pixels.shape[1:])


def shot_noise(pixels: Tensor, photons: float, streams: list[torch.Generator]) -> Tensor:
    """As if white were so many photons."""
    drawn = [torch.poisson(photons * one, generator=stream) for one, stream in zip(pixels, streams, strict=True)]
    return torch.stack(drawn) / photons


def impulse_noise(pixels: Tensor, share: float, streams: list[torch.Generator]) -> Tensor:
    """A share of the values is 0 or 1."""
    drawn = torch.stack([torch.rand(tuple(pixels.shape[1:]), generator=stream) for stream in streams])
    return pixels.masked_fill(drawn < share / 2, 0.0).masked_fill(drawn > 1 - share / 2, 1.0)


def blur(pixels: Tensor, sigma: float, streams: list[torch.Generator]) -> Tensor:
    """Gaussian of this deviation in pixels, cut off at four of them; the border continues outwards."""
    reach = int(4 * sigma + 0.5)
    wide = F.pad(pixels, [reach] * 4, mode="replicate")
    return gaussian_blur(wide, [2 * reach + 1] * 2, [sigma] * 2)[..., reach:-reach, reach:-reach]


def brightness(pixels: Tensor, amount: float, streams: list[torch.Generator]) -> Tensor:
    """The value of HSV grows by this; hue and saturation stay."""
    value = pixels.amax(1, keepdim=True)
    brighter = (value + amount).clamp_max(1)
    return torch.where(value > 0, pixels * brighter / value.clamp_min(1e-12), brighter)


def contrast(pixels: Tensor, factor: float, streams: list[torch.Generator]) -> Tensor:
    """Distances to the mean of each channel shrink."""
    mean = pixels.mean((2, 3), keepdim=True)
    return mean + factor * (pixels - mean)


def pixelate(pixels: Tensor, scale: float, streams: list[torch.Generator]) -> Tensor:
    """Shrunk by boxes, and grown again."""

    def through(picture: Image.Image) -> Image.Image:
        small = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BOX)

    return by_pillow(pixels, through)


def jpeg(pixels: Tensor, quality: float, streams: list[torch.Generator]) -> Tensor:
    """Written as JPEG of this quality, and read."""

    def through(picture: Image.Image) -> Image.Image:
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=int(quality))
        return Image.open(written)

    return by_pillow(pixels, through)


def by_pillow(pixels: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Every picture changed as PIL sees it, in 8 bits."""
    if pixels.shape[1] not in (1, 3):
        raise UserError(
            f"pictures of {pixels.shape[1]} channels are no grey or coloured ones: leave out jpeg and pixelate"
        )
    stored = (255 * pixels).round().to(torch.uint8)
    return torch.stack([pil_to_tensor(change(pictures.to_pil(one))) for one in stored]).float() / 255


CORRUPTIONS = (
    Corruption(
        "gaussian noise", gaussian_noise,
        (0.04, 0.06, 0.08, 0.09, 0.1), (0.04, 0.08, 0.12, 0.15, 0.18), (0.08, 0.12, 0.18, 0.26, 0.38),
    ),
    Corruption("shot noise", shot_noise, (500, 250, 100, 75, 50), (250, 100, 50, 30, 15), (60, 25, 12, 5, 3)),
    Corruption(
        "impulse noise", impulse_noise,
        (0.01, 0.02, 0.03, 0.05, 0.07), (0.01, 0.02, 0.05, 0.08, 0.14), (0.03, 0.06, 0.09, 0.17, 0.27),
    ),
    Corruption("blur", blur, (0.4, 0.6, 0.7, 0.8, 1), (0.5, 0.75, 1, 1.25, 1.5), (1, 2, 3, 4, 6)),
    Corruption("brightness", brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5)),
    Corruption("contrast", contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1, 0.05)),
    Corruption("pixelate", pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5), (0.6, 0.5, 0.4, 0.3, 0.25)),
    Corruption("jpeg", jpeg, (80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
)  # fmt: skip
"""All there are."""
