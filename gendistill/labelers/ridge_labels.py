"""Labels by which a ridge classifier on the features of a network knows real pictures.

Label distillation by ridge regression (Bohdal, Yang & Hospedales, 2020), https://arxiv.org/abs/2006.08572. On the features of a
pool of networks also in FRePo (Zhou, Nezhadarya & Ba, NeurIPS 2022), https://arxiv.org/abs/2206.00719:

    W = (F'F + lambda I)^-1 F'Y = F'(FF' + lambda I)^-1 Y        F of the n pictures, (n, d), whichever inverse is smaller
    loss = cross-entropy( scale G W ), or | G W - Z |^2           G of a batch of real pictures, Z their classes

Features have a constant beside them, as a head has a bias. What G W is of Y follows from the networks alone, so it is solved for
once for all steps of a network; lambda is `ridge` times the mean square of a picture's features, so that it means the same for all
networks. The authors learn the scale, average W over steps, and train the network on the pictures with their labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill import seeds
from gendistill.config.settled import check_choices
from gendistill.context import Context, together
from gendistill.labelers.learned import Judge, LearnedLabels, real_batches
from gendistill.learning.training import reader
from gendistill.nets.sampling import Network, Networks, Warming
from gendistill.types import Diverged, Images, Labels, Pixels, RealData, UserError
from gendistill.views.base import Read
from gendistill.work import Work

Answer: TypeAlias = Callable[[Tensor], Tensor]
"""From features (m, d) to the matrix (m, n) that makes a classifier's answers of the labels of n pictures."""


@dataclass(frozen=True)
class RidgeLabels(LearnedLabels):
    """Labels learned through ridge regression, in closed form.

    steps        of Adam on the labels
    batch        real pictures per step, of all classes equally; pictures of the set that are shown together
    lr           of the labels' logits
    schedule     how it falls
    start        who gives the labels to begin with, one a picture
    smoothing    share of them that is spread over all classes, in [0, 1): a class of probability 0 would never move
    augment      what happens to the pictures of the set whenever they are shown, as when a student learns them; None for nothing
    temperature  of the student's loss with these labels
    codec        how they are kept
    networks     whose features the pictures are seen by; the last part of their key counts the draws
    every        steps with the networks of one draw
    ridge        share of the features' mean square that is added to every direction
    loss         of the answers for real pictures
    scale        of the answers as logits, for the cross-entropy
    """

    networks: Networks = Warming()
    every: int = 5
    ridge: float = 1e-3
    loss: Literal["cross-entropy", "squared error"] = "cross-entropy"
    scale: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1 or self.ridge <= 0 or self.scale <= 0:
            raise UserError(
                f"RidgeLabels needs every >= 1, ridge > 0 and scale > 0, got {self.every}, {self.ridge} and {self.scale}"
            )
        check_choices(self)

    def identity(self, context: Context) -> str:
        """That of the networks."""
        return self.networks.identity(context)

    def bind(self, images: Images, context: Context) -> Judge:
        """The mean over networks and real pictures."""
        pick, read = real_batches(self.batch, context), reader(images, context.device)
        held: dict[int, list[tuple[Network, Answer]]] = {}

        def judge(log_probs: Tensor, step: int) -> Tensor:
            number = step // self.every
            if number not in held:
                held.clear()
                held[number] = self._solved(read, len(images), number, context)
            pixels, labels = pick(step)
            targets = log_probs.double().exp()
            found = [self._loss(answer(seen(net, pixels)) @ targets, labels) for net, answer in held[number]]
            return torch.stack(found).mean()

        return judge

    def _solved(self, read: Read, count: int, number: int, context: Context) -> list[tuple[Network, Answer]]:
        """The networks of a draw, and what each makes of the pictures."""
        key = (context.seed, "ridge labels", context.place, number)
        nets = self.networks.draw(context, *key)
        return [(net, ridge_answer(self._features(net, read, count, key), self.ridge)) for net in nets]

    def _features(self, net: Network, read: Read, count: int, key: Sequence[seeds.Part]) -> Tensor:
        """Of all pictures in their order. They pass in a random one: batch normalisation may go by what passes together."""
        order = torch.randperm(count, generator=seeds.stream(*key, "order"))
        stream, found = seeds.stream(*key, "augment"), []
        for block in order.chunk(math.ceil(count / self.batch)):
            pixels = read(block)
            if self.augment is not None:
                pixels = self.augment(pixels, stream, net.mean, net.std)
            found.append(seen(net, pixels))
        return torch.cat(found)[order.argsort().to(found[0].device)]

    def _loss(self, answers: Tensor, labels: Labels) -> Tensor:
        if self.loss == "cross-entropy":
            return F.cross_entropy(self.scale * answers, labels)
        return (answers - F.one_hot(labels, answers.shape[1])).square().sum(1).mean()

    def check(self, data: RealData) -> None:
        """Raise `UserError` if a network cannot be had, or as all that learn do."""
        super().check(data)
        self.networks.check()

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """Training of the networks, and the steps."""
        yield from self.networks.work(context)
        yield from super().work(images, context)

    def pieces(self, images: Images, context: Context) -> Iterable[tuple[str, float, Judge]]:
        """Steps with new networks, and those with the networks of the step before."""
        judge, draws, last = self.bind(images, context), math.ceil(self.steps / self.every), 0

        def anew(log_probs: Tensor, step: int) -> Tensor:
            nonlocal last
            last += self.every
            return judge(log_probs, last)

        yield "learn labels, new networks", draws, anew
        yield "learn labels", self.steps - draws, lambda log_probs, step: judge(log_probs, last)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The networks, and what all that learn say."""
        return [*self.networks.origins(licence), *super().origins(licence)]


def ridge_answer(features: Tensor, ridge: float) -> Answer:
    """The ridge classifier on features (n, d) and a constant, float64, as a linear function of the labels it is given.

    Raises:
        Diverged: the features are not finite, or the ridge is lost in rounding.
    """
    known = _with_constant(features)
    n, d = known.shape
    inner = known @ known.T if n <= d else known.T @ known
    inner.diagonal().add_(ridge * known.square().sum(1).mean())
    root, failed = torch.linalg.cholesky_ex(inner)
    if failed or not bool(torch.isfinite(root).all()):
        raise Diverged(
            f"there is no ridge classifier on these features: they are not finite, or ridge={ridge} is too small"
        )
    if n <= d:
        return lambda asked: torch.cholesky_solve(known @ _with_constant(asked).T, root).T
    return lambda asked: torch.cholesky_solve(_with_constant(asked).T, root).T @ known.T


def _with_constant(features: Tensor) -> Tensor:
    return F.pad(features.double(), (0, 1), value=1.0)


@torch.no_grad()
def seen(net: Network, pixels: Pixels) -> Tensor:
    """Features (n, d) float32, block by block where no batch normalisation goes by the pictures it is shown together."""
    whole = any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in net.modules())
    blocks = pixels.split(len(pixels) if whole else together(pixels.shape))
    return torch.cat([net.features(block).float() for block in blocks])
