"""The generator of BigGAN-deep at one truncation, as it runs: no spectral vectors, no table of statistics.

BigGAN (Brock et al., ICLR 2019), https://arxiv.org/abs/1809.11096. A checkpoint keeps every weight with the vectors of
its spectral norm, ``W / (u' W v)``, and the statistics of its batch norms at 51 truncations; `folded` does both once.
Modules are called as in the checkpoints of https://github.com/huggingface/pytorch-pretrained-BigGAN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gendistill.types import UserError


class Norm(nn.Module):
    """Batch norm with fixed statistics. Scale and offset follow from a condition (the class and the noise)."""

    def __init__(self, channels: int, condition: int, eps: float):
        """``condition`` numbers ask for ``channels`` scales and offsets."""
        super().__init__()
        self.eps = eps
        self.mean, self.var = nn.Buffer(torch.zeros(channels)), nn.Buffer(torch.ones(channels))
        self.scale = nn.Linear(condition, channels, bias=False)
        self.offset = nn.Linear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalised, scaled and shifted maps."""
        scale = (1 + self.scale(condition)) * (self.var + self.eps).rsqrt()
        return x * scale[:, :, None, None] + (self.offset(condition) - self.mean * scale)[:, :, None, None]


class LastNorm(nn.Module):
    """Batch norm with fixed statistics, the same for every class."""

    def __init__(self, channels: int, eps: float):
        """``eps`` is added to the variance."""
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.mean, self.var = nn.Buffer(torch.zeros(channels)), nn.Buffer(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised, scaled and shifted maps."""
        return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, eps=self.eps)


class Block(nn.Module):
    """A bottleneck of four convolutions beside a shortcut that repeats pixels and drops channels."""

    def __init__(self, into: int, out: int, up: bool, condition: int, eps: float):
        """From ``into`` to ``out`` channels, at twice the side if ``up``."""
        super().__init__()
        self.up, self.out = up, out
        middle = into // 4
        shapes = ((into, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, out, 1))
        for index, (wide, narrow, kernel) in enumerate(shapes):
            self.add_module(f"bn_{index}", Norm(wide, condition, eps))
            self.add_module(f"conv_{index}", nn.Conv2d(wide, narrow, kernel, padding=kernel // 2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The maps of the next layer."""
        inner = x
        for index in range(4):
            inner = F.relu(self.get_submodule(f"bn_{index}")(inner, condition))
            if index == 1 and self.up:
                inner = F.interpolate(inner, scale_factor=2, mode="nearest")
            inner = self.get_submodule(f"conv_{index}")(inner)
        beside = x[:, : self.out]
        return inner + (F.interpolate(beside, scale_factor=2, mode="nearest") if self.up else beside)


class Attention(nn.Module):
    """Every pixel looks at a quarter of all pixels."""

    def __init__(self, channels: int):
        """Keys have an eighth of the channels, values a half."""
        super().__init__()
        self.snconv1x1_theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The maps and what was seen; asks for no class."""
        query = self.snconv1x1_theta(x).flatten(2).transpose(1, 2)
        key, value = (F.max_pool2d(seen, 2).flatten(2) for seen in (self.snconv1x1_phi(x), self.snconv1x1_g(x)))
        seen = value @ (query @ key).softmax(-1).transpose(1, 2)
        return x + self.gamma * self.snconv1x1_o_conv(seen.unflatten(2, x.shape[2:]))


class Generator(nn.Module):
    """From a condition to a picture in [-1, 1]: `start`, then ``layers`` in order, then `finish`."""

    def __init__(self, config: Mapping[str, Any]):
        """Build the network of a checkpoint's config.json."""
        super().__init__()
        width, condition, eps = config["channel_width"], 2 * config["z_dim"], config["eps"]
        self.gen_z = nn.Linear(condition, 4 * 4 * config["layers"][0][1] * width)
        layers: list[nn.Module] = []
        for index, (up, into, out) in enumerate(config["layers"]):
            if index == config["attention_layer_position"]:
                layers.append(Attention(into * width))
            layers.append(Block(into * width, out * width, bool(up), condition, eps))
        self.layers = nn.ModuleList(layers)
        last = config["layers"][-1][2] * width
        self.bn = LastNorm(last, eps)
        self.conv_to_rgb = nn.Conv2d(last, last, 3, padding=1)

    def start(self, condition: Tensor) -> Tensor:
        """The first maps, 4 x 4. The checkpoint counts them pixel by pixel, channels last."""
        return self.gen_z(condition).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2).contiguous()

    def finish(self, x: Tensor) -> Tensor:
        """A picture from the last maps. The last convolution has a channel for each of theirs; three are seen."""
        weight, bias = self.conv_to_rgb.weight[:3], self.conv_to_rgb.bias
        assert bias is not None
        return F.conv2d(F.relu(self.bn(x)), weight, bias[:3], padding=1).tanh()


class BigGanNet(nn.Module):
    """A table of classes and the generator."""

    def __init__(self, config: Mapping[str, Any]):
        """Build the network of a checkpoint's config.json."""
        super().__init__()
        self.embeddings = nn.Linear(config["num_classes"], config["z_dim"], bias=False)
        self.generator = Generator(config)


def side(config: Mapping[str, Any]) -> int:
    """Pixels on a side of what the network makes."""
    return 4 * 2 ** sum(bool(up) for up, _, _ in config["layers"])


def folded(state: Mapping[str, Tensor], truncation: float, peer_interpolation: bool = False) -> dict[str, Tensor]:
    """The weights of `BigGanNet` at one truncation, from those of a checkpoint. What is not understood is handed through."""
    rest, found = dict(state), {}
    for name in [name for name in state if name.endswith("_orig")]:
        plain = name.removesuffix("_orig")
        if f"{plain}_u" not in rest or f"{plain}_v" not in rest:
            raise UserError(f"the checkpoint has no spectral vectors for {plain}: is it complete?")
        weight, u, v = rest.pop(name), rest.pop(f"{plain}_u"), rest.pop(f"{plain}_v")
        found[plain] = weight / (u @ (weight.flatten(1) @ v))
    for kind in ("mean", "var"):
        for name in [name for name in rest if name.endswith(f".running_{kind}s")]:
            row = statistics(rest.pop(name), truncation, peer_interpolation)
            found[name.removesuffix(f"running_{kind}s") + kind] = row
    return {**rest, **found}


def statistics(table: Tensor, truncation: float, peer_interpolation: bool = False) -> Tensor:
    """A row of a table of statistics at truncations 0 .. 1, between two rows in proportion.

    The public code gives each of the two rows the other's share. ``peer_interpolation`` does as it does, to the bit:
    just below a row it then uses the one before, which rounding decides even for truncations such as 0.58.
    """
    last = len(table) - 1
    if peer_interpolation:
        share, row = math.modf(truncation / (1.0 / last))
        low = int(row)
        return table[low] if share == 0 else table[low] * share + table[low + 1] * (1 - share)
    place = truncation * last
    low = min(int(place), last - 1)
    return table[low].lerp(table[low + 1], place - low)
