"""Hard labels: every picture is the class it was made for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.base import Labeler
from gendistill.system.store import fingerprint
from gendistill.types import Images, LogProbs, SoftLabels


class HardLabels(SoftLabels):
    """log 1 for the class, log 0 for the others. One index per picture is stored."""

    kind = "hard"
    temperature = 1.0

    def __init__(self, labels: Tensor, classes: int) -> None:
        """``labels`` (N,) int64."""
        self._labels, self._classes = labels, classes
        self.bytes = len(labels) * math.ceil(max(math.log2(max(classes, 2)) / 8, 1))

    @property
    def fingerprint(self) -> str:
        """Of the classes."""
        return fingerprint("hard", self._labels, self._classes)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """0 for the class of each picture, minus infinity for the others; the same in every view."""
        return torch.nn.functional.one_hot(self._labels[positions], self._classes).float().log()

    def save(self, folder: Path) -> dict[str, object]:
        """Write nothing: the class is in the picture's id."""
        return {"kind": self.kind, "temperature": self.temperature}


@dataclass(frozen=True)
class Hard(Labeler):
    """The class that was asked for."""

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """The images' own labels."""
        return HardLabels(images.labels, len(images.classes))
