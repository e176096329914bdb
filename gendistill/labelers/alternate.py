"""Soft labels in some phases of a training, hard ones in the others: HALD (Cui et al., 2025), https://arxiv.org/abs/2512.15647.

A few stored labels are seen again and again, and say of some crops what these resemble, not what the picture is; classes, which
cost next to nothing, put that right. The published orders S1 to S8 are shares of alternating phases:

S6, the best   soft, hard, soft       Phases((1, 2, 1))
S7             hard, soft, hard       Phases((1, 2, 1), hard_first=True)
S1, S8         hard, soft, or soft, hard                  Phases((1, 1), hard_first=True), Phases((1, 1))
S2 to S5       as many epochs in turn as there are views, or twice as many, hard or soft first    Phases((1,) * 30) ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.base import Labeler
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.learning.label_losses import LabelLoss
from gendistill.system.store import fingerprint
from gendistill.types import Images, LogProbs, RealData, SoftLabels, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Phases:
    """Which epochs of a training learn from soft labels, and which from hard ones.

    shares      lengths of the phases relative to each other; soft and hard ones alternate
    hard_first  which comes first
    smoothing   of the hard labels, in [0, 1)
    """

    shares: tuple[float, ...] = (1.0, 2.0, 1.0)
    hard_first: bool = False
    smoothing: float = 0.8

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(float(share) for share in self.shares))
        if not self.shares or min(self.shares) <= 0:
            raise UserError(f"phases have shares above 0, got {self.shares}")
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing={self.smoothing} must be in [0, 1)")

    def at(self, epoch: int, epochs: int) -> tuple[bool, int]:
        """Whether an epoch of so many is a hard one, and how many of its kind came before it."""
        ends = [round(epochs * share / sum(self.shares)) for share in accumulate(self.shares)]
        starts = [0, *ends[:-1]]
        place = min(sum(epoch >= end for end in ends), len(ends) - 1)
        before = sum(ends[earlier] - starts[earlier] for earlier in range(place % 2, place, 2))
        return self.hard_first ^ (place % 2 == 1), before + epoch - starts[place]

    def soft(self, epochs: int) -> int:
        """How many of so many epochs learn from soft labels."""
        return sum(not self.at(epoch, epochs)[0] for epoch in range(epochs))


class AlternatingLabels(SoftLabels):
    """Soft labels and hard ones. Views of the hard epochs have numbers below 0, so that none of them is one of those labelled."""

    def __init__(self, soft: SoftLabels, images: Images, phases: Phases) -> None:
        """``soft`` are labels of ``images``."""
        self.kind, self.temperature, self.views, self.bytes = soft.kind, soft.temperature, soft.views, soft.bytes
        self.soft, self.phases, self.loss, self.count = soft, phases, soft.loss, soft.count
        self._labels, self._classes, self._size = images.labels, len(images.classes), images.shape[1:]

    @property
    def fingerprint(self) -> str:
        """Of the soft labels, the classes and the phases."""
        return fingerprint(self.soft.fingerprint, self._labels, self.phases)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """What the soft labels say, or below 0 the classes of the mixed pictures, smoothed."""
        if view >= 0:
            return self.soft.at(positions, view)
        mine = self._smoothed(positions)
        if self.views is not None:
            partners, share = self.views.mixing(positions, view, len(self._labels), self._size)
            mine = self._smoothed(partners).lerp(mine, share.unsqueeze(1))
        return mine.log()

    def _smoothed(self, positions: Tensor) -> Tensor:
        rest = self.phases.smoothing
        return (1 - rest) * F.one_hot(self._labels[positions], self._classes).float() + rest / self._classes

    def view(self, epoch: int, epochs: int, first: int = 0) -> int:
        """In soft epochs as these labels count them, in hard ones a number of its own."""
        hard, number = self.phases.at(epoch, epochs)
        return -1 - first - number if hard else self.soft.view(number, epochs, first)

    def temperature_at(self, epoch: int, epochs: int) -> float:
        """1 for hard labels."""
        hard, number = self.phases.at(epoch, epochs)
        return 1.0 if hard else self.soft.temperature_at(number, epochs)

    def loss_at(self, epoch: int, epochs: int) -> LabelLoss | None:
        """That of the soft labels in their epochs."""
        hard, number = self.phases.at(epoch, epochs)
        return None if hard else self.soft.loss_at(number, epochs)

    def save(self, folder: Path) -> dict[str, object]:
        """Write the soft labels; the phases are told."""
        return {**self.soft.save(folder), "phases": repr(self.phases)}


@dataclass(frozen=True)
class Alternate(Labeler):
    """A labeler whose soft labels take turns with the classes.

    In a hard epoch a student's `Divergence` is the cross-entropy with the smoothed classes, but for a constant; published soft ones
    are not multiplied by T^2, which is `Divergence(squared=False)`.

    labeler  of the soft labels, `RelabelViews` as published
    phases   when
    """

    labeler: Labeler
    phases: Phases = Phases()

    def __post_init__(self) -> None:
        if isinstance(self.labeler, Hard | Online | Alternate):
            raise UserError(
                f"Alternate takes turns with soft labels that are stored, and {type(self.labeler).__name__} stores none of its "
                "own: give RelabelViews(...)"
            )

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """The labels of both kinds."""
        return AlternatingLabels(self.labeler(images, context), images, self.phases)

    def check(self, data: RealData) -> None:
        """As the labeler does."""
        self.labeler.check(data)

    def bytes(self, classes: int) -> int:
        """What those of the labeler cost."""
        return self.labeler.bytes(classes)

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """That of the labeler."""
        return self.labeler.work(images, context)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """Those of the labeler."""
        return self.labeler.origins(licence)
