"""A compact class-conditional generator: noise and class become a style, which steers convolutions up to pixels.

StyleGAN2 (Karras et al., CVPR 2020), https://arxiv.org/abs/1912.04958, without noise per pixel, so that pictures follow from
latents alone. A convolution is modulated by its style s and demodulated,

    y_o = ( sum_i W_oi * s_i x_i ) / sqrt( sum_i s_i^2 |W_oi|^2 )

which needs no kernel per picture. Nothing depends on the batch, in training or after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from gendistill.types import Labels, Latents, Pixels

SLOPE, GAIN = 0.2, math.sqrt(2)
"""Of the leaky rectifier below zero, and what brings its answer back to unit variance."""


def activate(x: Tensor) -> Tensor:
    """A leaky rectifier that keeps the variance."""
    return F.leaky_relu(x, SLOPE) * GAIN


def unit(x: Tensor) -> Tensor:
    """Rows scaled to a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class StyledConvolution(nn.Module):
    """A 3x3 convolution whose inputs are scaled by a style, and whose outputs keep their variance."""

    def __init__(self, into: int, out: int, style: int) -> None:
        """From ``into`` to ``out`` channels, told by ``style`` numbers."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into, 3, 3) / math.sqrt(9 * into))
        self.bias = nn.Parameter(torch.zeros(out))
        self.scale = nn.Linear(style, into)
        nn.init.normal_(self.scale.weight, std=1 / math.sqrt(style))
        nn.init.ones_(self.scale.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(n, into, h, w) and (n, style) to (n, out, h, w)."""
        scale = self.scale(style)
        power = scale.square() @ self.weight.square().sum((2, 3)).T
        y = F.conv2d(x * scale[:, :, None, None], self.weight, padding=1)
        return activate(y * (power + 1e-8).rsqrt()[:, :, None, None] + self.bias[:, None, None])


class StyleGenerator(ModelMixin, ConfigMixin):
    """From noise and a class to a picture, through spaces by name.

    spaces  ``z`` (noise, and the class's embedding), ``w`` (one style), ``w+`` (a style for every convolution), and the maps of
            every side, ``f4``, ``f8`` ..., each with the styles that the convolutions after it still ask for
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 16,
        channels: int = 1,
        num_classes: int = 10,
        block_out_channels: Sequence[int] = (32, 64, 64),
        noise_size: int = 64,
        style_size: int = 128,
        id2label: dict[str, str] | None = None,
        id2wnid: dict[str, str] | None = None,
    ) -> None:
        """Fresh weights from torch's global random stream.

        ``block_out_channels`` are the widths of all sides, that of the pictures first, each half the one before it;
        ``id2label`` and ``id2wnid`` say what the classes are called.
        """
        super().__init__()
        widths = tuple(block_out_channels)[::-1]
        first = resolution >> (len(widths) - 1)
        self.embedding = nn.Embedding(num_classes, noise_size)
        self.mapping = nn.ModuleList([nn.Linear(2 * noise_size, style_size), nn.Linear(style_size, style_size)])
        for layer in self.mapping:
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.start = nn.Parameter(torch.randn(1, widths[0], first, first))
        levels = [[StyledConvolution(widths[0], widths[0], style_size)]]
        for into, out in pairwise(widths):
            levels.append([StyledConvolution(into, out, style_size), StyledConvolution(out, out, style_size)])
        self.levels = nn.ModuleList(nn.ModuleList(level) for level in levels)
        self.to_pixels = nn.Conv2d(widths[-1], channels, 1)
        self.styles = sum(len(level) for level in levels)
        self.spaces = ("z", "w", "w+", *(f"f{first << level}" for level in range(len(widths))))

    def latents(self, z: Tensor, rows: Labels) -> Latents:
        """Noise (n, noise_size) that is asked for the classes of these rows, in the first space."""
        return {"z": z, "class": self.embedding(rows)}

    def step(self, latents: Latents, index: int) -> Latents:
        """Latents of the space ``index``, taken to the next one."""
        if index == 0:
            style = torch.cat([unit(latents["z"]), unit(latents["class"])], 1)
            for layer in self.mapping:
                style = activate(layer(style))
            return {"w": style}
        if index == 1:
            return {"w+": latents["w"].unsqueeze(1).expand(-1, self.styles, -1)}
        styles, level = latents["w+"], self.levels[index - 2]
        if index == 2:
            x = self.start.expand(len(styles), -1, -1, -1)
        else:
            x = F.interpolate(latents[self.spaces[index]], scale_factor=2, mode="bilinear", align_corners=False)
        for number, layer in enumerate(level):  # type: ignore[arg-type]
            x = layer(x, styles[:, number])
        left = styles[:, len(level) :]  # type: ignore[arg-type]
        return {self.spaces[index + 1]: x, **({"w+": left} if left.shape[1] else {})}

    def render(self, latents: Latents) -> Pixels:
        """Pixels of latents in the last space, centred on [0, 1] and not clamped."""
        return self.to_pixels(latents[self.spaces[-1]]) * 0.5 + 0.5

    def forward(self, z: Tensor, rows: Labels) -> Pixels:
        """Pixels of noise, for the classes of these rows."""
        latents = self.latents(z, rows)
        for index in range(len(self.spaces) - 1):
            latents = self.step(latents, index)
        return self.render(latents)
