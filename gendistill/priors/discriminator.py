"""A compact discriminator that is told the class: residual blocks, and a projection (Miyato & Koyama, ICLR 2018).

https://arxiv.org/abs/1802.05637: score = a' phi(x) + <e_class, phi(x)>. It also sees how much pictures that stand next to each
other differ (Karras et al., ICLR 2018), https://arxiv.org/abs/1710.10196: where these are of one class, a generator that makes one
picture of it is found out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from gendistill.priors.checkpoint import load_part
from gendistill.priors.style_generator import SLOPE, activate
from gendistill.types import Labels, Pixels, UserError

FOLDER = "discriminator"
"""Where it lies, beside its generator."""


def spread(x: Tensor, group: int) -> Tensor:
    """How much maps differ in groups of neighbours: a map for each, (n, 1, h, w), of the mean standard deviation in its group."""
    size = math.gcd(len(x), group)
    groups = x.view(-1, size, *x.shape[1:])
    found = ((groups - groups.mean(1, keepdim=True)).square().mean(1) + 1e-8).sqrt().mean((1, 2, 3))
    return found.repeat_interleave(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])


class Halving(nn.Module):
    """Two convolutions, the second at half the side, beside a shortcut."""

    def __init__(self, into: int, out: int) -> None:
        """From ``into`` to ``out`` channels."""
        super().__init__()
        self.first, self.second = nn.Conv2d(into, into, 3, padding=1), nn.Conv2d(into, out, 3, padding=1)
        self.shortcut = nn.Conv2d(into, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, into, h, w) to (n, out, h/2, w/2)."""
        y = activate(self.second(F.avg_pool2d(activate(self.first(x)), 2)))
        return (y + self.shortcut(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class Discriminator(ModelMixin, ConfigMixin):
    """Scores pictures of a class: higher for real ones."""

    @register_to_config
    def __init__(
        self,
        resolution: int = 16,
        channels: int = 1,
        num_classes: int = 10,
        block_out_channels: Sequence[int] = (32, 64, 64),
        group: int = 4,
    ) -> None:
        """Fresh weights from torch's global random stream; widths of all sides, that of the pictures first.

        ``group`` pictures that stand next to each other are compared.
        """
        super().__init__()
        widths = tuple(block_out_channels)
        side, width = resolution >> (len(widths) - 1), widths[-1]
        self.from_pixels = nn.Conv2d(channels, widths[0], 1)
        self.blocks = nn.ModuleList(Halving(into, out) for into, out in pairwise(widths))
        self.last = nn.Conv2d(width + 1, width, 3, padding=1)
        self.features = nn.Linear(width * side * side, width)
        self.head, self.embedding = nn.Linear(width, 1), nn.Embedding(num_classes, width)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE)
                layer.weight.data.div_(math.sqrt(2 / (1 + SLOPE**2)))  # `activate` itself keeps the variance
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, pixels: Pixels, rows: Labels) -> Tensor:
        """(n,) scores of pictures in [0, 1], as pictures of the classes of these rows."""
        x = activate(self.from_pixels(pixels * 2 - 1))
        for block in self.blocks:
            x = block(x)
        x = activate(self.last(torch.cat([x, spread(x, self.config["group"])], 1)))
        x = activate(self.features(x.flatten(1)))
        return self.head(x).squeeze(1) + (x * self.embedding(rows)).sum(1) / math.sqrt(x.shape[1])


def load(source: str, revision: str | None = None) -> Discriminator:
    """The discriminator of a generator's folder or hub id.

    Raises:
        UserError: there is none, or it does not load.
    """
    folder = Path(source) / FOLDER
    if not Path(source).is_dir():
        return load_part(source, Discriminator, FOLDER, revision)
    if not folder.is_dir():
        raise UserError(
            f"{source!r} holds a generator without its discriminator ({FOLDER}/): give a folder as train-prior leaves it"
        )
    # By its own folder: diffusers would find the generator's weights first, above a subfolder.
    return load_part(str(folder), Discriminator, FOLDER, subfolder="")
