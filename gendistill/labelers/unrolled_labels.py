"""Labels by which a student is trained, differentiated through its training.

Label distillation of second order (Bohdal, Yang & Hospedales, 2020), https://arxiv.org/abs/2006.08572, unrolls one step. More of
them are in soft-label dataset distillation (Sucholutsky & Schonlau, 2019), https://arxiv.org/abs/1910.02551:

    w_{t+1} = w_t - lr grad_w L(w_t, Y),  t = 0 ... inner - 1        L: T^2 KL of the labels of a batch and the student
    loss = cross-entropy of the student w_inner on real pictures

The gradient in Y is that of the whole unroll: with v the gradient in w_{t+1}, step t adds -lr grad_Y <grad_w L, v>, and hands on
v - lr grad_w <grad_w L, v>. So memory holds the graph of one step, and the weights of all. From one step of the labels to the next
the student goes on from where it was left, until another begins. The authors move theirs by Adam, and begin anew when the loss
stops falling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from gendistill import seeds
from gendistill.context import Context
from gendistill.labelers.learned import Judge, LearnedLabels, real_batches
from gendistill.learning.losses import divergence
from gendistill.learning.training import reader
from gendistill.nets.base import Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.priors.training.loop import order
from gendistill.types import Images, UserError

Weights: TypeAlias = Mapping[str, Tensor]
Taught: TypeAlias = Callable[[Weights, Tensor], Tensor]
"""The loss of a student with these weights on some of the pictures, given the log-probabilities of all."""


@dataclass(frozen=True)
class UnrolledLabels(LearnedLabels):
    """Labels learned through some steps of a student's training.

    steps        of Adam on the labels
    batch        real pictures per step, of all classes equally; pictures of the set that are shown together
    lr           of the labels' logits
    schedule     how it falls
    start        who gives the labels to begin with, one a picture
    smoothing    share of them that is spread over all classes, in [0, 1): a class of probability 0 would never move
    augment      what happens to the pictures of the set whenever they are shown, as when a student learns them; None for nothing
    temperature  of the student's loss with these labels
    codec        how they are kept
    net          the student; batch normalisation takes the statistics of its batch
    inner        steps of SGD that are differentiated through
    outer        steps of the labels that a student lives for: it takes inner * outer of its own
    net_lr       of SGD, without momentum
    """

    net: Net = ConvNet()
    inner: int = 10
    outer: int = 20
    net_lr: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner < 1 or self.outer < 1 or self.net_lr <= 0:
            raise UserError(
                f"UnrolledLabels needs inner >= 1, outer >= 1 and net_lr > 0, got {self.inner}, {self.outer} and {self.net_lr}"
            )

    @property
    def period(self) -> int:
        """The student is a function of what happened since it began."""
        return self.outer

    def bind(self, images: Images, context: Context) -> Judge:
        """The student's mean cross-entropy on real pictures, at the end of its steps."""
        key = (context.seed, "unrolled labels", context.place)
        pick, read = real_batches(self.batch, context), reader(images, context.device)
        take, count = order(len(images), seeds.number(*key, "order")), min(self.batch, len(images))
        net = build(self.net, shape_of(context), 0, context.device)
        weights: Weights = {}

        def taught(number: int) -> Taught:
            positions = take(number * count, count)

            def loss(weights: Weights, labels: Tensor) -> Tensor:
                pixels = read(positions)
                if self.augment is not None:
                    pixels = self.augment(pixels, seeds.stream(*key, "augment", number), net.mean, net.std)
                logits = functional_call(net, dict(weights), (pixels,))
                return divergence(logits, labels[positions.to(labels.device)], self.temperature).mean()

            return loss

        def judge(log_probs: Tensor, step: int) -> Tensor:
            nonlocal weights
            if step % self.outer == 0:
                weights = fresh(self.net, seeds.number(*key, step // self.outer, "net"), context)
            pixels, labels = pick(step)
            lessons = [taught(step * self.inner + place) for place in range(self.inner)]
            value, slope, weights = unroll(
                weights,
                log_probs.detach(),
                lessons,
                self.net_lr,
                lambda end: F.cross_entropy(functional_call(net, dict(end), (pixels,)), labels),
            )
            # A linear function of the labels that has the unroll's gradient.
            return value + (slope * (log_probs - log_probs.detach())).sum()

        return judge


def fresh(net: Net, seed: int, context: Context) -> dict[str, Tensor]:
    """The weights of a new student."""
    return {name: one.detach() for name, one in build(net, shape_of(context), seed, context.device).named_parameters()}


def unroll(
    weights: Weights, log_probs: Tensor, lessons: Sequence[Taught], lr: float, judge: Callable[[Weights], Tensor]
) -> tuple[Tensor, Tensor, Weights]:
    """Where SGD on the lessons leads: the judgement there, its gradient by the labels, and the weights."""
    way: list[Weights] = [weights]
    for lesson in lessons:
        here = _leaves(way[-1])
        slopes = _gradients(lesson(here, log_probs), here)
        way.append({name: (here[name] - lr * slopes[name]).detach() for name in here})
    end = _leaves(way.pop())
    value = judge(end)
    pull = _gradients(value, end)
    total = torch.zeros_like(log_probs)
    for before, lesson in zip(reversed(way), reversed(lessons), strict=True):
        here, labels = _leaves(before), log_probs.detach().requires_grad_()
        slopes = _gradients(lesson(here, labels), here, create_graph=True)
        along = torch.stack([(slopes[name] * pull[name]).sum() for name in here]).sum()
        turned = _gradients(along, {**here, "": labels})  # no parameter has an empty name
        total -= lr * turned.pop("")
        pull = {name: pull[name] - lr * turned[name] for name in here}
    return value.detach(), total, {name: one.detach() for name, one in end.items()}


def _leaves(weights: Weights) -> dict[str, Tensor]:
    return {name: one.detach().requires_grad_() for name, one in weights.items()}


def _gradients(value: Tensor, by: Weights, create_graph: bool = False) -> dict[str, Tensor]:
    """By each of the tensors; 0 by those it does not depend on."""
    found = torch.autograd.grad(
        value, list(by.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(by, found, strict=True))
