"""What a network is shown in each epoch of its training, what it is told of it, and what it minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.devices import beside
from gendistill.label_losses import Divergence, LabelLoss
from gendistill.nets.base import Classifier
from gendistill.types import Labels, LogProbs, SoftLabels
from gendistill.views.base import Read, Shown
from gendistill.views.numbered import Views
from gendistill.views.siamese import Siamese


@dataclass(frozen=True)
class Told:
    """What a network is told of the pictures of a batch.

    labels     (n,) their classes
    log_probs  (n, k) soft labels to learn instead, at temperature 1; None for the classes
    counts     (n,) how much each picture counts; None where all count alike
    share      (n,) how much of each is the picture itself, where it is mixed with one that has labels of its own
    partners   what is told of those
    """

    labels: Labels
    log_probs: LogProbs | None = None
    counts: Tensor | None = None
    share: Tensor | None = None
    partners: Told | None = None


@dataclass(frozen=True)
class Criterion:
    """What is minimised in an epoch.

    loss         with soft labels
    temperature  of it, which the labels ask for
    smoothing    of the classes, where there are no soft labels
    """

    loss: LabelLoss
    temperature: float
    smoothing: float

    def __call__(self, logits: Tensor, told: Told) -> Tensor:
        """The mean over pictures, weighted where they are. A mixed picture is learned by the shares of both."""
        each = self.each(logits, told)
        if told.share is not None and told.partners is not None:
            each = told.share * each + (1 - told.share) * self.each(logits, told.partners)
        return each.mean() if told.counts is None else (each * told.counts).sum() / told.counts.sum()

    def each(self, logits: Tensor, told: Told) -> Tensor:
        """Loss per picture, (n,)."""
        if told.log_probs is None:
            return F.cross_entropy(logits, told.labels, reduction="none", label_smoothing=self.smoothing)
        return self.loss(logits, told.log_probs, told.labels, self.temperature)


@dataclass(frozen=True)
class Course:
    """The epochs of a training.

    labels     (N,) class of each picture, on the device
    epochs     how many there are
    first      number of its first view: networks differ by it, as they differ by the order of their batches
    augment    what happens to pictures whose labels bring no views
    loss       for soft labels that bring none of their own
    smoothing  of hard labels
    soft       labels to learn instead of the classes
    weight     (N,) how much each picture counts, on the device
    """

    labels: Tensor
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

    def told(self, shown: Shown, batch: Tensor, epoch: int) -> Told:
        """What it is told of them. A mixed picture counts by the shares of both."""
        counts, share, partners = self.counts(batch), shown.share, shown.partners
        labels, log_probs = self.said(shown, batch, epoch)
        if share is None or partners is None:
            return Told(labels, log_probs, counts)
        others = self.counts(partners)
        if counts is not None and others is not None:
            counts = share * counts + (1 - share) * others
        if self.soft is not None and self.soft.views is not None:  # labels are of the pictures as they are mixed
            return Told(labels, log_probs, counts)
        return Told(labels, log_probs, counts, share, Told(*self.said(shown, partners, epoch)))

    def said(self, shown: Shown, positions: Tensor, epoch: int) -> tuple[Labels, LogProbs | None]:
        """Classes and soft labels of the pictures at these positions, or of the views that are shown."""
        labels = self.labels[beside(positions, self.labels)]
        if self.soft is None:
            return labels, None
        view = self.soft.view(epoch, self.epochs, self.first)
        return labels, beside(self.soft.seen(shown.pixels, positions, view), labels)

    def counts(self, positions: Tensor) -> Tensor | None:
        """How much the pictures at these positions count, (n,); None where all count alike."""
        return None if self.weight is None else self.weight[beside(positions, self.weight)]

    def criterion(self, epoch: int) -> Criterion:
        """What is minimised in this epoch."""
        if self.soft is None:
            return Criterion(self.loss, 1.0, self.smoothing)
        loss = self.soft.loss_at(epoch, self.epochs) or self.loss
        return Criterion(loss, self.soft.temperature_at(epoch, self.epochs), self.smoothing)
