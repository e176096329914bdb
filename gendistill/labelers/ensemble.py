"""Some teachers asked together, and who they are: what every labeler that asks teachers is.

logits   log softmax of the weighted mean over teachers of their logits     (G-VBSM, EDC, D3HR)
probs    log of the weighted mean over teachers of softmax                  (deep ensembles)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gendistill.config.settled import check_choices
from gendistill.context import Context, passing
from gendistill.labelers import batch_statistics, weighing
from gendistill.labelers.base import Labeler
from gendistill.labelers.weighing import Softening, Weights
from gendistill.learning.label_losses import LabelLoss
from gendistill.nets import ensemble, trained
from gendistill.nets.teachers import AnsweringTeachers
from gendistill.system.devices import beside
from gendistill.types import Diverged, Images, LogProbs, Pixels, RealData, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Ensemble(AnsweringTeachers, Labeler):
    """What the labelers that ask teachers have in common.

    teachers          references of classifiers, see `gendistill.nets.trained.load`
    average           what is averaged over teachers: there is no neutral choice, so there is no default
    temperature       of the student's loss with these labels
    weights           how much each teacher counts; empty for alike, ByAccuracy() by real pictures it did not see
    softening         what each teacher's logits are divided by before the mean; empty for 1, Calibrated() finds it on such pictures
    batch_statistics  pictures in a batch whose mean and variance the teachers' batch norms go by (BSSL); 0 for the learned ones
    loss              what a student minimises with these labels; None for what its training says
    """

    teachers: tuple[Any, ...]
    average: Literal["logits", "probs"]
    temperature: float = 1.0
    weights: Weights = ()
    softening: Softening = ()
    batch_statistics: int = 0
    loss: LabelLoss | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        if self.temperature <= 0:
            raise UserError(f"temperature={self.temperature} must be above 0")
        weighing.check("weights", self.weights, self.teachers)
        weighing.check("softening", self.softening, self.teachers)
        if self.batch_statistics < 0 or self.batch_statistics == 1:
            raise UserError(f"batch_statistics={self.batch_statistics}: 0 for none, or batches of at least 2 pictures")

    def check(self, data: RealData) -> None:
        """Raise `UserError` if a teacher cannot be had."""
        ensemble.check(self.teachers, data.classes)

    def committee(self, context: Context) -> Committee:
        """The teachers, loaded once for all sets that are labelled in a stage.

        Raises:
            UserError: they are to go by the statistics of a batch, and one has no batch norm.
        """
        if context.dry:
            return self._load(context)
        return context.lasting(("committee", *self.identity(context)), lambda: self._load(context))

    def _load(self, context: Context) -> Committee:
        by_batch = self.batch_statistics > 0
        if by_batch:  # before any is trained
            batch_statistics.check([trained.load(reference, replace(context, dry=True)) for reference in self.teachers])
        nets = [trained.load(reference, context) for reference in self.teachers]
        weights, softening = (weighing.numbers(one, self.teachers, context) for one in (self.weights, self.softening))
        return Committee(nets, self.average, by_batch, weights, softening)

    def identity(self, context: Context) -> list[str]:
        """What its answers follow from, beside the real pictures: for the keys of what is kept."""
        how = (self.average, self.weights, self.softening, self.batch_statistics)
        return [*(one.identity(context) for one in self.teachers), repr(how)]

    def blocks(self, images: Images, device: torch.device, seed: int = 0, view: int = 0) -> Sequence[Tensor]:
        """Positions of the pictures of a set, as teachers on a device are shown them together.

        By the statistics of a batch, each view has batches of its own.
        """
        if self.batch_statistics:
            return batch_statistics.batches(len(images), self.batch_statistics, seed, view)
        return torch.arange(len(images)).split(passing(images.shape, device))

    def passes(self, images: Images, context: Context, looks: int = 1) -> Iterable[Work]:
        """Training of the teachers that are trained in place, and so many passes of each over the pictures."""
        for reference in self.teachers:
            yield from trained.work(reference, context)
        committee = self.committee(replace(context, dry=True))
        size = min(passing(images.shape, context.device), len(images))
        probe = torch.zeros(size, *images.shape, device=context.device)
        yield Work("label", looks * len(images) / len(probe), lambda: committee(probe), rows=len(probe))


class Committee:
    """Loaded teachers: pixels in [0, 1] in, log-probabilities out."""

    def __init__(
        self,
        nets: Sequence[nn.Module],
        average: str,
        by_batch: bool = False,
        weights: Tensor | None = None,
        softening: Tensor | None = None,
    ) -> None:
        """``average`` is "logits" or "probs"; ``by_batch`` makes batch norms go by the pictures they are shown.

        ``weights`` and ``softening`` (teachers,) are ones where not given; weights are brought to the sum 1.
        """
        self.nets, self.average, self.by_batch = list(nets), average, by_batch
        weights = torch.ones(len(self.nets)) if weights is None else weights
        self.weights, self.softening = (
            weights / weights.sum(),
            torch.ones_like(weights) if softening is None else softening,
        )

    @property
    def bytes(self) -> int:
        """Of all weights."""
        held = (tensor for net in self.nets for tensor in (*net.parameters(), *net.buffers()))
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    @torch.no_grad()
    def __call__(self, pixels: Pixels) -> LogProbs:
        """What they say together, (n, k) float32 at temperature 1."""
        with batch_statistics.by_batch(self.nets) if self.by_batch else nullcontext():
            logits = torch.stack([net(pixels) for net in self.nets]).float()
        weights, softening = (beside(one, logits).view(-1, 1, 1) for one in (self.weights, self.softening))
        logits = logits / softening
        if self.average == "logits":
            return (weights * logits).sum(0).log_softmax(1)
        return (logits.log_softmax(2) + weights.log()).logsumexp(0)


def blockwise(images: Images, answers: Iterable[LogProbs], blocks: Sequence[Tensor]) -> LogProbs:
    """What is said of all pictures of a set, (N, k) on the CPU in their order, from the answers about one block after the other.

    A block is the positions of its pictures; as many answers are taken as there are blocks. Of a picture that is in two, what is
    said first counts.

    Raises:
        Diverged: some of it is no number.
    """
    said, order = torch.cat([one.cpu() for one in islice(answers, len(blocks))]), torch.cat(list(blocks))
    if bool(said.isnan().any()):
        raise Diverged(
            f"the teachers' answers hold NaN for {int(said.isnan().any(1).sum())} of {len(said)} pictures: weights are broken, or "
            "numbers overflow; ask each of them alone to see whose"
        )
    found = torch.empty_like(said[: len(images)])
    found[order[: len(images)]] = said[: len(images)]
    return found
