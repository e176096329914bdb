"""The one classifier loop: teachers, surrogates, experts and students all come from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.config.settled import check_choices
from gendistill.context import Context, silent
from gendistill.learning.course import Course, Criterion, Targets
from gendistill.learning.label_losses import Divergence, LabelLoss
from gendistill.learning.schedules import RateSchedule, StepDecay
from gendistill.nets.base import Classifier
from gendistill.nets.recorded import WORTH_STEPS, recorded
from gendistill.system.devices import beside
from gendistill.types import Diverged, Images, Pixels, SoftLabels, UserError
from gendistill.views.base import Read
from gendistill.views.numbered import Views
from gendistill.views.siamese import Siamese
from gendistill.work import Work

IN_MEMORY_BYTES = 4 << 30
"""Sets up to this size are kept on the device as one tensor; larger ones are read batch by batch."""


@dataclass(frozen=True)
class Training:
    """How a classifier is trained.

    epochs           passes over the set; ``least_steps`` makes them more for small sets
    batch            pictures per step
    optimizer        a class of torch.optim
    lr, momentum, betas, weight_decay  of it, as far as it takes them
    decay_vectors    False spares biases and the weights of norms the decay
    schedule         how the learning rate falls
    augment          what happens to every batch: drawn anew at every step, or views by number; None for nothing. Soft labels of
                     views bring theirs
    loss             for soft labels that bring none of their own; hard ones are learned by cross-entropy
    label_smoothing  of hard labels
    ema              decay of a mean over the weights, which comes out in their place; 0 for none
    mixed_precision  "bf16" runs the network in it under autocast
    least_steps      no fewer optimiser steps than this
    """

    epochs: int = 1000
    batch: int = 256
    optimizer: Literal["SGD", "Adam", "AdamW"] = "SGD"
    lr: float = 0.01
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 5e-4
    decay_vectors: bool = True
    schedule: RateSchedule = StepDecay()
    augment: Siamese | Views | None = Siamese()
    loss: LabelLoss = Divergence()
    label_smoothing: float = 0.0
    ema: float = 0.0
    mixed_precision: Literal["no", "bf16"] = "no"
    least_steps: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        if self.epochs < 1 or self.batch < 1 or self.lr <= 0:
            raise UserError(
                f"training needs epochs >= 1, batch >= 1 and lr > 0, got {self.epochs}, {self.batch}, {self.lr}"
            )
        if not 0 <= self.ema < 1 or not 0 <= self.label_smoothing < 1:
            raise UserError(f"ema={self.ema} and label_smoothing={self.label_smoothing} are shares in [0, 1)")

    def steps(self, count: int) -> int:
        """Optimiser steps of an epoch over ``count`` pictures; one left alone joins a batch, as batch norm needs more."""
        whole, rest = divmod(count, self.batch)
        return whole + (rest > 1 or not whole)

    def passes(self, count: int) -> int:
        """Epochs over a set of ``count`` pictures."""
        return max(self.epochs, math.ceil(self.least_steps / self.steps(count)))


def reader(images: Images, device: torch.device) -> Read:
    """A function from positions to pixels on the device: from one tensor there if the set is small, else from where it is."""
    if len(images) * math.prod(images.shape) > IN_MEMORY_BYTES:
        return lambda positions: images.pixels(positions, device)
    held = images.stored(torch.arange(len(images))).to(device)
    return lambda positions: held[beside(positions, held)].float().div_(255)


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
        seed: order, augmentation and dropout follow from it; weights were drawn before.
        device: where.
        soft: labels to learn instead of the hard ones.
        weight: (N,) how much each picture counts; a batch's loss is the weighted mean.
        progress: wraps the epochs.
        what: the name shown with the progress.
        after_epoch: called with the number of finished epochs after each of them.

    Raises:
        Diverged: the loss is not finite.
    """
    epochs, per_epoch = settings.passes(len(images)), settings.steps(len(images))
    course = _course(settings, images, epochs, seed, device, soft=soft, weight=weight)
    read, seen = reader(images, device), images
    optimizer = _optimizer(net, settings)
    mean = None if not settings.ema else averaged(net, settings.ema)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: settings.schedule.factor(step / (epochs * per_epoch))
    )
    stream = seeds.stream(seed, "train")
    net.train()
    loss = torch.zeros(())
    step = Step(net, optimizer, settings.mixed_precision == "bf16", epochs * per_epoch)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # dropout draws from the global stream
        torch.manual_seed(seeds.number(seed, "dropout"))
        for epoch in progress(range(epochs), what):
            if (now := images.at_epoch(epoch)) is not seen:
                read, seen = reader(now, device), now
            criterion = course.criterion(epoch)
            for batch in _batches(len(images), settings, stream):
                shown = course.shown(read, batch, epoch, stream, net)
                loss = step(shown.pixels, course.targets(shown, batch, epoch), criterion)
                scheduler.step()
                if mean is not None:
                    mean.update_parameters(net)
            if after_epoch is not None:
                after_epoch(epoch + 1)
    optimizer.zero_grad(set_to_none=True)  # gradients may lie in what was recorded
    if not torch.isfinite(loss):
        raise Diverged(f"training diverged: the last loss is {float(loss)} with {settings}")
    if mean is not None:
        net.load_state_dict(mean.module.state_dict())
    return net.eval()


class Step:
    """Takes the optimiser steps of a training. On a GPU the passes of a network that takes many are recorded first."""

    def __init__(self, net: Classifier, optimizer: torch.optim.Optimizer, half: bool, steps: int) -> None:
        """``half`` runs the network in bfloat16; ``steps`` says how many there will be."""
        self.net, self.optimizer, self.half = net, optimizer, half
        self.ask = None if net.mean.device.type == "cuda" and steps >= WORTH_STEPS else net

    def __call__(self, pixels: Pixels, targets: Targets, criterion: Criterion) -> Tensor:
        """Move the weights; return the mean loss of the batch before that, (), without gradient."""
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.half):
            if self.ask is None:
                self.ask = recorded(self.net, pixels)
            logits = self.ask(pixels)
        loss = criterion(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def _batches(count: int, settings: Training, stream: torch.Generator) -> list[Tensor]:
    """The positions of an epoch, shuffled, in as many batches as it has steps."""
    batches = list(torch.randperm(count, generator=stream).split(settings.batch))
    if len(batches) > settings.steps(count):
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _course(
    settings: Training, images: Images, epochs: int, seed: int, device: torch.device,
    *, soft: SoftLabels | None, weight: Tensor | None,
) -> Course:  # fmt: skip
    """The course of a training with this seed."""
    return Course(
        labels=images.labels.to(device),
        epochs=epochs,
        first=seeds.number(seed, "views") >> 20,
        augment=settings.augment,
        loss=settings.loss,
        smoothing=settings.label_smoothing,
        soft=None if soft is not None and soft.kind == "hard" else soft,
        weight=None if weight is None else weight.to(device),
    )


def averaged(net: Classifier, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """A running mean of a network's weights; its buffers are those of the last step."""
    return torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay))


def training_work(net: Classifier, images: Images, settings: Training, device: torch.device) -> Iterable[Work]:
    """The optimiser steps that `train` would take, each on one batch."""
    batch = min(settings.batch, len(images))
    steps = settings.passes(len(images)) * len(images) / batch
    pixels, labels = (
        torch.rand(batch, *images.shape, device=device),
        torch.zeros(batch, dtype=torch.long, device=device),
    )
    optimizer, stream, everything = _optimizer(net, settings), seeds.stream(0, "plan"), torch.arange(batch)
    course, step = Course(labels, 1, 0, settings.augment), Step(net, optimizer, False, 1)

    @torch.enable_grad()
    def once() -> None:
        seen = course.shown(lambda positions: pixels[positions], everything, 0, stream, net)
        step(seen.pixels, Targets(labels), course.criterion(0))

    net.train()
    yield Work("train", steps, once, rows=batch)


def _optimizer(net: Classifier, settings: Training) -> torch.optim.Optimizer:
    own = {"momentum": settings.momentum} if settings.optimizer == "SGD" else {"betas": settings.betas}
    groups = [{"params": list(net.parameters())}]
    if not settings.decay_vectors:
        matrices, vectors = ([p for p in net.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return getattr(torch.optim, settings.optimizer)(
        groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True, **own
    )


@torch.no_grad()
def accuracy(net: Callable[[Pixels], Tensor], images: Images, device: torch.device, batch: int = 512) -> float:
    """Share of pictures whose class gets the highest logit, in percent."""
    right = torch.zeros((), dtype=torch.long, device=device)
    for part in torch.arange(len(images)).split(batch):
        right += (net(images.pixels(part, device)).argmax(1) == beside(images.labels[part], right)).sum()
    return 100 * int(right) / len(images)
