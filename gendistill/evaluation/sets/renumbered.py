"""Pictures and labels of a set whose classes have other numbers than the real data's: the same, by their numbers there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gendistill.labelers.alternate import AlternatingLabels
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.relabel import EXACT, StaticLabels
from gendistill.learning.label_losses import LabelLoss
from gendistill.system.store import fingerprint
from gendistill.types import Class, Images, LogProbs, Pixels, SoftLabels, UserError


def reordered(soft: SoftLabels, order: Tensor, images: Images) -> SoftLabels:
    """Labels for the classes as they are numbered now: class i is ``order[i]``, and ``images`` are the renumbered pictures."""
    if soft.kind == "hard":
        return HardLabels(images.labels, len(images.classes))
    if isinstance(soft, AlternatingLabels):
        return AlternatingLabels(reordered(soft.soft, order, images), images, soft.phases)
    if isinstance(soft, StaticLabels) and soft.codec == EXACT:
        return StaticLabels.of(soft.log_probs[:, order.argsort()], soft.temperature, loss=soft.loss)
    return Reordered(soft, order)


class Reordered(SoftLabels):
    """Labels whose classes were renumbered."""

    def __init__(self, soft: SoftLabels, order: Tensor) -> None:
        """``order`` (k,): class i is now called ``order[i]``."""
        self.kind, self.temperature, self.views, self.loss = soft.kind, soft.temperature, soft.views, soft.loss
        self.count, self._soft, self._order = soft.count, soft, order

    @property
    def bytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As before."""
        return self._soft.bytes

    @property
    def fingerprint(self) -> str:
        """Of the labels and the order."""
        return fingerprint(self._soft.fingerprint, self._order)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """The same numbers in the other order."""
        return self._moved(self._soft.at(positions, view))

    def seen(self, pixels: Pixels, positions: Tensor, view: int) -> LogProbs:
        """The same numbers in the other order."""
        return self._moved(self._soft.seen(pixels, positions, view))

    def _moved(self, found: LogProbs) -> LogProbs:
        return torch.empty_like(found).index_copy_(1, self._order.to(found.device), found)

    def view(self, epoch: int, epochs: int, first: int = 0) -> int:
        """As before."""
        return self._soft.view(epoch, epochs, first)

    def temperature_at(self, epoch: int, epochs: int) -> float:
        """As before."""
        return self._soft.temperature_at(epoch, epochs)

    def loss_at(self, epoch: int, epochs: int) -> LabelLoss | None:
        """As before."""
        return self._soft.loss_at(epoch, epochs)

    def save(self, folder: Path) -> dict[str, object]:
        """Refuse: what is written is the classes' order that their codec was given.

        Raises:
            UserError: always.
        """
        raise UserError(
            "the classes of these labels were renumbered, and are written in the order they were made in: export the set as it was "
            "before it was set beside real data"
        )


class Renumbered(Images):
    """The same pictures with other class numbers."""

    def __init__(self, images: Images, classes: tuple[Class, ...], order: Tensor) -> None:
        """``order`` (k,): class i is now ``classes[order[i]]``."""
        self._images, self._order, self.classes, self.shape = images, order, classes, images.shape
        self.labels, self.distinct, self.bytes = order[images.labels], images.distinct, images.bytes
        self.fingerprint = fingerprint(images.fingerprint, [str(c) for c in classes], self.labels)

    def at_epoch(self, number: int) -> Images:
        """What a student sees in this epoch, with the same numbers."""
        now = self._images.at_epoch(number)
        return self if now is self._images else Renumbered(now, self.classes, self._order)

    def stored(self, indices: Sequence[int] | Tensor) -> Tensor:
        """8-bit pictures at these positions."""
        return self._images.stored(indices)
