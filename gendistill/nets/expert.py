"""A network trained here, as it was at an earlier epoch: its labels are softer, and suit students of few pictures.

"A label is worth a thousand images in dataset distillation" (Qin et al., NeurIPS 2024), https://arxiv.org/abs/2406.10485.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gendistill.context import Context
from gendistill.nets.base import Classifier
from gendistill.nets.reference import Reference
from gendistill.nets.trained import Trained, checkpoint, passes
from gendistill.types import Images, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Expert(Reference):
    """A network that is trained on the real pictures, after some of its epochs. All of its epochs are kept in the store.

    It has its weights as they were, not their mean, whatever the training's ``ema``.

    trained  the training
    epoch    how many of its passes over the pictures were done; 0 is before the first
    """

    trained: Trained = Trained()
    epoch: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.trained, Trained):
            raise UserError(f"Expert needs the whole training, which {self.trained!r} does not hold: give Trained(...)")
        if self.epoch < 0:
            raise UserError(f"epoch={self.epoch} must be 0 or more")

    def load(self, context: Context) -> Classifier:
        """The network as it was then.

        Raises:
            UserError: its training is shorter.
        """
        last = passes(self.trained, context)
        if self.epoch > last:
            raise UserError(f"epoch={self.epoch}: the training of {self.trained} ends after {last}")
        return checkpoint(self.trained, self.epoch, context)

    def origin(self, licence: str) -> dict[str, str]:
        """How it was trained, and for how long."""
        known = self.trained.origin(licence)
        return {**known, "name": f"{known['name']}, as it was after {self.epoch}"}

    def work(self, context: Context) -> Iterable[Work]:
        """The whole training."""
        return self.trained.work(context)

    def unseen(self, context: Context) -> Images:
        """Those that its training held out."""
        return self.trained.unseen(context)
