"""The generator of StyleGAN-XL: noise and class to a style, Fourier features, modulated convolutions between clean filters.

StyleGAN-XL (Sauer et al., SIGGRAPH 2022), https://arxiv.org/abs/2202.00273. A layer scales its inputs by a style, convolves,
and scales each output back to unit variance,

    y_o = (sum_i W_oi * g s_i x_i) / sqrt(sum_i s_i^2 |W_oi|^2),      g = 1 / sqrt(the magnitude its inputs had in training)

which asks for no kernel per picture. Training adds a head of layers for each resolution to a stem whose last layers are cut
off, so layers keep the numbers they had then and some numbers are missing. Tensors are called as in the authors' checkpoints,
filters included; what else the network is follows from the configuration, layer by layer (see `stylegan_xl_file`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gendistill.priors.filters import filtered_rectifier
from gendistill.priors.style_generator import activate, unit


class Dense(nn.Module):
    """A linear layer whose stored weights have unit variance; ``rate`` slowed its training down."""

    def __init__(self, into: int, out: int, rate: float = 1.0):
        """From ``into`` to ``out`` numbers."""
        super().__init__()
        self.weight, self.bias, self.rate = nn.Parameter(torch.randn(out, into)), nn.Parameter(torch.zeros(out)), rate

    def forward(self, x: Tensor) -> Tensor:
        """(n, into) to (n, out)."""
        return F.linear(x, self.weight * (self.rate / math.sqrt(x.shape[1])), self.bias * self.rate)


class MappingNet(nn.Module):
    """Noise and a row of the pretrained table of classes to a style. ``w_avg`` holds the mean style of every class."""

    def __init__(self, config: Mapping[str, Any]):
        """Build it as the configuration says."""
        super().__init__()
        z, w = config["z_dim"], config["w_dim"]
        self.embed = nn.Embedding(*config["embedding"])
        self.embed_proj = Dense(config["embedding"][1], z)
        self.count = config["mapping_layers"]
        for index in range(self.count):
            self.add_module(f"fc{index}", Dense(w if index else 2 * z, w, config["mapping_rate"]))
        self.w_avg = nn.Buffer(torch.zeros(config["num_classes"], w))

    def forward(self, z: Tensor, row: Tensor) -> Tensor:
        """(n, z) noise and (n, d) rows of the table to (n, w) styles."""
        style = torch.cat([unit(z), unit(activate(self.embed_proj(row)))], 1)
        for index in range(self.count):
            style = activate(self.get_submodule(f"fc{index}")(style))
        return style


class FourierInput(nn.Module):
    """Waves of fixed frequencies, turned and moved by the style, and mixed."""

    def __init__(self, channels: int, size: int, sampling_rate: float, bandwidth: float, style: int):
        """Maps of ``size`` pixels a side, at ``sampling_rate`` pixels per picture."""
        super().__init__()
        self.size, self.sampling_rate, self.bandwidth = size, sampling_rate, bandwidth
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = Dense(style, 4)
        self.transform = nn.Buffer(torch.eye(3))
        self.freqs, self.phases = nn.Buffer(torch.randn(channels, 2)), nn.Buffer(torch.rand(channels) - 0.5)

    def forward(self, style: Tensor) -> Tensor:
        """(n, w) to (n, channels, size, size)."""
        pose = self.affine(style)
        cos, sin, right, down = (pose / pose[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        move = turn @ -torch.stack([right, down], 1).unsqueeze(2)
        there = torch.cat([turn, move], 2) @ self.transform
        waves, phases = self.freqs @ there[:, :, :2], self.phases + (self.freqs @ there[:, :, 2:]).squeeze(2)
        # A wave that was turned out of the band fades, so that it cannot alias.
        limit = self.sampling_rate / 2
        heights = (1 - (waves.norm(dim=2) - self.bandwidth) / (limit - self.bandwidth)).clamp(0, 1)
        place = (torch.arange(self.size, device=style.device) + 0.5 - self.size / 2) / self.sampling_rate
        turns = (
            waves[:, :, 0, None, None] * place + waves[:, :, 1, None, None] * place[:, None] + phases[:, :, None, None]
        )
        x = (2 * math.pi * turns).sin() * heights[:, :, None, None]
        return torch.einsum("oc,nchw->nohw", self.weight / math.sqrt(len(self.weight)), x)


class SynthesisLayer(nn.Module):
    """A modulated convolution, a bias, a filtered rectifier; or, as the last, a projection to colours with neither rectifier.

    up_filter and down_filter are tensors of the checkpoint; a layer without one lets everything pass.
    """

    def __init__(self, config: Mapping[str, Any], style: int):
        """Build it as its entry in the configuration says."""
        super().__init__()
        self.colours, self.kernel = config["colours"], config["kernel"]
        self.up, self.down, self.padding, self.clamp = (
            config["up"],
            config["down"],
            tuple(config["padding"]),
            config["clamp"],
        )
        into, out = config["channels"]
        self.affine = Dense(style, into)
        self.weight = nn.Parameter(torch.randn(out, into, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(out))
        self.magnitude_ema = nn.Buffer(torch.ones([]))
        self.up_filter, self.down_filter = (_taps(config[name]) for name in ("up_filter", "down_filter"))

    def forward(self, x: Tensor, style: Tensor, dtype: torch.dtype) -> Tensor:
        """(n, in, h, w) and (n, w) to (n, out, h', w'). Convolution and filters run in ``dtype``, styles in float32."""
        scale, gain = self.affine(style), self.magnitude_ema.rsqrt()
        if self.colours:
            y = self._convolve(x, scale * (gain / math.sqrt(scale.shape[1] * self.kernel**2)), self.weight, dtype)
            slope, strength = 1.0, 1.0
        else:
            # Both are scaled to unit variance first: the quotient stays as it is, and half precision does not overflow.
            weight = self.weight * self.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
            scale = scale * scale.square().mean(1, keepdim=True).rsqrt()
            power = scale.square() @ weight.square().sum((2, 3)).t()
            y = self._convolve(x, scale * gain, weight, dtype) * (power + 1e-8).rsqrt()[:, :, None, None].to(dtype)
            slope, strength = 0.2, math.sqrt(2)
        y = y + self.bias.to(dtype)[:, None, None]
        return filtered_rectifier(
            y, self.up_filter, self.down_filter, self.up, self.down, self.padding, slope, strength, self.clamp
        )  # fmt: skip

    def _convolve(self, x: Tensor, scale: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
        return F.conv2d((x * scale[:, :, None, None]).to(dtype), weight.to(dtype), padding=self.kernel - 1)


def _taps(shape: Sequence[int] | None) -> Tensor | None:
    return None if shape is None else nn.Buffer(torch.zeros(*shape))


class SynthesisNet(nn.Module):
    """The input, then the layers in order. Layer n takes style n + 1, the input takes style 0."""

    def __init__(self, config: Mapping[str, Any]):
        """Build it as the configuration says."""
        super().__init__()
        self.input = FourierInput(**config["input"], style=config["w_dim"])
        self.names = tuple(layer["name"] for layer in config["layers"])
        for layer in config["layers"]:
            self.add_module(layer["name"], SynthesisLayer(layer, config["w_dim"]))
        self.scale = config["output_scale"]

    def layer(self, index: int) -> nn.Module:
        """The layer of this place in the order."""
        return self.get_submodule(self.names[index])


class StyleganXlNet(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, config: Mapping[str, Any]):
        """Build the network of a configuration."""
        super().__init__()
        self.mapping = MappingNet(config)
        self.synthesis = SynthesisNet(config)
