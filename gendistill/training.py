"""The one classifier loop: teachers, surrogates, experts and students all come from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context, silent
from gendistill.losses import soft_cross_entropy
from gendistill.nets.base import Classifier
from gendistill.types import Diverged, Images, Pixels, SoftLabels, UserError
from gendistill.views import Siamese
from gendistill.work import Work

IN_MEMORY_BYTES = 4 << 30
"""Sets up to this size are kept on the device as one tensor; larger ones are read batch by batch."""


@dataclass(frozen=True)
class Training:
    """How a classifier is trained.

    epochs        passes over the set; ``least_steps`` makes them more for small sets
    batch         pictures per step
    optimizer     a class of torch.optim
    schedule      "half": lr x 0.1 in the second half; "cosine": to zero; "constant"
    augment       what happens to every batch, None for nothing
    least_steps   no fewer optimiser steps than this
    """

    epochs: int = 1000
    batch: int = 256
    optimizer: Literal["SGD", "Adam", "AdamW"] = "SGD"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["half", "cosine", "constant"] = "half"
    augment: Siamese | None = Siamese()
    least_steps: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.lr <= 0:
            raise UserError(
                f"training needs epochs >= 1, batch >= 1 and lr > 0, got {self.epochs}, {self.batch}, {self.lr}"
            )

    def passes(self, count: int) -> int:
        """Epochs over a set of ``count`` pictures."""
        return max(self.epochs, math.ceil(self.least_steps / math.ceil(count / self.batch)))

    def factor(self, done: float) -> float:
        """The learning rate's factor when a share ``done`` in [0, 1) of the steps is taken."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 0.1 if self.schedule == "half" and done >= 0.5 else 1.0


def reader(images: Images, device: torch.device) -> Callable[[Tensor], Pixels]:
    """A function from positions to pixels on the device: from one tensor there if the set is small, else from where it is."""
    if len(images) * math.prod(images.shape) > IN_MEMORY_BYTES:
        return lambda positions: images.pixels(positions).to(device)
    held = images.stored(torch.arange(len(images))).to(device)
    return lambda positions: held[positions.to(device)].float().div_(255)


def real_reader(context: Context) -> Callable[[Tensor], Pixels]:
    """A `reader` of the real training pictures, of all classes, made once in a unit of work."""
    return context.once("reader", lambda: reader(context.real.train, context.device))


@torch.enable_grad()
def train(
    net: Classifier,
    images: Images,
    settings: Training,
    seed: int,
    device: torch.device,
    *,
    soft: SoftLabels | None = None,
    weight: Tensor | None = None,
    progress: Callable[..., Iterable] = silent,
    what: str = "train",
    after_epoch: Callable[[int], object] | None = None,
) -> Classifier:
    """Train ``net`` in place and return it in eval mode, as it is after the last epoch.

    Args:
        net: a network on ``device``.
        images: what it learns from.
        settings: how.
        seed: order and augmentation follow from it; weights were drawn before.
        device: where.
        soft: labels to learn instead of the hard ones.
        weight: (N,) how much each picture counts; a batch's loss is the weighted mean.
        progress: wraps the epochs.
        what: the name shown with the progress.
        after_epoch: called with the number of finished epochs after each of them.

    Raises:
        Diverged: the loss is not finite.
    """
    read, labels, seen = reader(images, device), images.labels, images
    optimizer = _optimizer(net, settings)
    epochs, per_epoch = settings.passes(len(images)), math.ceil(len(images) / settings.batch)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: settings.factor(step / (epochs * per_epoch)))
    stream = seeds.stream(seed, "train")
    net.train()
    loss = torch.zeros(())
    for epoch in progress(range(epochs), what):
        if (now := images.at_epoch(epoch)) is not seen:
            read, seen = reader(now, device), now
        for batch in torch.randperm(len(images), generator=stream).split(settings.batch):
            pixels = read(batch)
            if settings.augment is not None:
                pixels = settings.augment(pixels, stream, net.mean, net.std)
            logits, counts = net(pixels), None if weight is None else weight[batch].to(device)
            if soft is None or soft.kind == "hard":
                each = F.cross_entropy(logits, labels[batch].to(device), reduction="none")
                loss = each.mean() if counts is None else (each * counts).sum() / counts.sum()
            else:
                loss = soft_cross_entropy(logits, soft.at(batch, epoch).to(device), soft.temperature, counts)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
        if after_epoch is not None:
            after_epoch(epoch + 1)
    if not torch.isfinite(loss):
        raise Diverged(f"training diverged: the last loss is {float(loss)} with {settings}")
    return net.eval()


def training_work(net: Classifier, images: Images, settings: Training, device: torch.device) -> Iterable[Work]:
    """The optimiser steps that `train` would take, each on one batch."""
    batch = min(settings.batch, len(images))
    steps = settings.passes(len(images)) * len(images) / batch
    pixels, labels = (
        torch.rand(batch, *images.shape, device=device),
        torch.zeros(batch, dtype=torch.long, device=device),
    )
    optimizer, stream = _optimizer(net, settings), seeds.stream(0, "plan")

    @torch.enable_grad()
    def once() -> None:
        seen = pixels if settings.augment is None else settings.augment(pixels, stream, net.mean, net.std)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(seen), labels).backward()
        optimizer.step()

    net.train()
    yield Work("train", steps, once, rows=batch)


def _optimizer(net: Classifier, settings: Training) -> torch.optim.Optimizer:
    momentum = {"momentum": settings.momentum} if settings.optimizer == "SGD" else {}
    kind = getattr(torch.optim, settings.optimizer)
    return kind(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, **momentum)


@torch.no_grad()
def accuracy(net: Classifier, images: Images, device: torch.device, batch: int = 512) -> float:
    """Share of pictures whose class gets the highest logit, in percent."""
    right = 0
    for part in torch.arange(len(images)).split(batch):
        right += int((net(images.pixels(part).to(device)).argmax(1).cpu() == images.labels[part]).sum())
    return 100 * right / len(images)
