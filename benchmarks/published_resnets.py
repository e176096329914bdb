"""The ResNets of CIFAR-10 (He et al., CVPR 2016, https://arxiv.org/abs/1512.03385), as others trained and published them.

    x + F(x), where the size changes:  x[:, :, ::2, ::2] with zeros for the new channels        (option A: no weights)

They learned from all training pictures, and their weights were picked on the test pictures: so there are none to judge them by, and
rows with labels of theirs are marked.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill.nets.loaded import Loaded
from gendistill.nets.reference import Reference
from gendistill.system.store import read_tensors
from gendistill.types import Pixels, UserError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAW = "all training pictures of CIFAR-10; its epoch was picked on the test pictures"


class Block(nn.Module):
    """Two convolutions around a shortcut without weights."""

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.more, self.stride = width - inside, 1 if inside == width else 2
        self.conv1 = nn.Conv2d(inside, width, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Half the size where the width changes, else the same."""
        short = F.pad(x[:, :, :: self.stride, :: self.stride], [0, 0, 0, 0, self.more // 2, self.more // 2])
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + short).relu()


class CifarResNet(nn.Module):
    """Three stages of so many blocks; pixels in [0, 1] in, logits out. Its layers are named as in the published files."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(*(Block(inside if number == 0 else width, width) for number in range(blocks)))
            for inside, width in ((16, 16), (16, 32), (32, 64))
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits, (n, 10)."""
        mean, std = (torch.tensor(one, device=pixels.device).view(1, 3, 1, 1) for one in (MEAN, STD))
        x = self.bn1(self.conv1((pixels - mean) / std)).relu()
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def load(folder: Path) -> dict[Reference, float]:
    """The networks of every folder ``cifar10_resnet*`` in this one, and the accuracy in percent that their authors state.

    Raises:
        UserError: there is none.
    """
    found: dict[Reference, float] = {}
    for place in sorted(folder.glob("cifar10_resnet*")):
        about = json.loads((place / "config.json").read_text())
        net = CifarResNet(about["blocks_per_stage"])
        net.load_state_dict(read_tensors(place / "model.safetensors"))
        found[Loaded(net.eval(), saw=SAW)] = about["repo_best_top1"]
    if not found:
        raise UserError(f"no folders cifar10_resnet* with config.json and model.safetensors in {folder}")
    return found
