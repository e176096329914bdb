"""What a network is shown in each epoch of its training, what it is to learn of it, and what it minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.learning.label_losses import Divergence, LabelLoss
from gendistill.nets.base import Classifier
from gendistill.system.devices import beside
from gendistill.types import Labels, LogProbs, SoftLabels
from gendistill.views.base import Read, Shown
from gendistill.views.numbered import Views
from gendistill.views.siamese import Siamese


@dataclass(frozen=True)
class Targets:
    """What a network is to learn of the pictures of a batch.

    labels     (n,) their classes
    log_probs  (n, k) soft labels to learn instead, at temperature 1; None for the classes
    weight     (n,) how much each picture counts; None where all count alike
    share      (n,) in [0, 1], how much of each is the picture itself, where it is mixed with one that has targets of its own
    partners   those
    """

    labels: Labels
    log_probs: LogProbs | None = None
    weight: Tensor | None = None
    share: Tensor | None = None
    partners: Targets | None = None


@dataclass(frozen=True)
class Criterion:
    """What is minimised in an epoch.

    loss         with soft labels; classes are learned by cross-entropy
    temperature  of it, which the labels ask for (dimensionless, above 0)
    smoothing    of the classes, in [0, 1)
    """

    loss: LabelLoss
    temperature: float
    smoothing: float

    def __call__(self, logits: Tensor, targets: Targets) -> Tensor:
        """The mean over pictures, weighted where they are, () in nats or in what the loss measures.

        A mixed picture is learned by the shares of both.
        """
        each = self.each(logits, targets)
        if targets.share is not None and targets.partners is not None:
            each = targets.share * each + (1 - targets.share) * self.each(logits, targets.partners)
        return each.mean() if targets.weight is None else (each * targets.weight).sum() / targets.weight.sum()

    def each(self, logits: Tensor, targets: Targets) -> Tensor:
        """The same of each picture, (n,)."""
        if targets.log_probs is None:
            return F.cross_entropy(logits, targets.labels, reduction="none", label_smoothing=self.smoothing)
        return self.loss(logits, targets.log_probs, targets.labels, self.temperature)


@dataclass(frozen=True)
class Course:
    """The epochs of a training.

    labels     (N,) class of each picture, on the device
    epochs     how many there are
    first      number of its first view: networks differ by it, as they differ by the order of their batches
    augment    what happens to pictures whose labels bring no views
    loss       for soft labels that bring none of their own
    smoothing  of hard labels, in [0, 1)
    soft       labels to learn instead of the classes
    weight     (N,) how much each picture counts, on the device
    """

    labels: Labels
    epochs: int
    first: int
    augment: Siamese | Views | None
    loss: LabelLoss = Divergence()
    smoothing: float = 0.0
    soft: SoftLabels | None = None
    weight: Tensor | None = None

    def shown(self, read: Read, batch: Tensor, epoch: int, stream: torch.Generator, net: Classifier) -> Shown:
        """What the network sees: the labels' own views where they are of views, else what the settings say."""
        if self.soft is not None and self.soft.views is not None:
            return self.soft.views.look(read, batch, self.soft.view(epoch, self.epochs, self.first), len(self.labels))
        if isinstance(self.augment, Views):
            return self.augment.look(read, batch, self.first + epoch, len(self.labels))
        pixels = read(batch)
        return Shown(pixels if self.augment is None else self.augment(pixels, stream, net.mean, net.std))

    def targets(self, shown: Shown, batch: Tensor, epoch: int) -> Targets:
        """What it is to learn of them. A mixed picture counts by the shares of both."""
        weight, share, partners = self.weight_of(batch), shown.share, shown.partners
        labels, log_probs = self.labels_of(shown, batch, epoch)
        if share is None or partners is None:
            return Targets(labels, log_probs, weight)
        others = self.weight_of(partners)
        if weight is not None and others is not None:
            weight = share * weight + (1 - share) * others
        if self.soft is not None and self.soft.views is not None:  # labels are of the pictures as they are mixed
            return Targets(labels, log_probs, weight)
        return Targets(labels, log_probs, weight, share, Targets(*self.labels_of(shown, partners, epoch)))

    def labels_of(self, shown: Shown, positions: Tensor, epoch: int) -> tuple[Labels, LogProbs | None]:
        """Classes (n,) and soft labels (n, k) of the pictures at these positions, or of the views that are shown."""
        labels = self.labels[beside(positions, self.labels)]
        if self.soft is None:
            return labels, None
        view = self.soft.view(epoch, self.epochs, self.first)
        return labels, beside(self.soft.seen(shown.pixels, positions, view), labels)

    def weight_of(self, positions: Tensor) -> Tensor | None:
        """How much the pictures at these positions count, (n,); None where all count alike."""
        return None if self.weight is None else self.weight[beside(positions, self.weight)]

    def criterion(self, epoch: int) -> Criterion:
        """What is minimised in this epoch."""
        if self.soft is None:
            return Criterion(self.loss, 1.0, self.smoothing)
        loss = self.soft.loss_at(epoch, self.epochs) or self.loss
        return Criterion(loss, self.soft.temperature_at(epoch, self.epochs), self.smoothing)
