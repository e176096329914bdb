"""Attacks on a classifier: the smallest changes of the pixels that do most harm, none of them above eps.

FGSM: "Explaining and harnessing adversarial examples" (Goodfellow et al., ICLR 2015), https://arxiv.org/abs/1412.6572.
    x' = x + eps sign(grad_x L)
PGD: "Towards deep learning models resistant to adversarial attacks" (Madry et al., ICLR 2018), https://arxiv.org/abs/1706.06083.
    x <- project(x + step sign(grad_x L)), from a random start in the ball
L is cross-entropy with the true label, x are pixels in [0, 1], and the network normalises inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill import seeds
from gendistill.types import Diverged, Labels, Pixels, UserError


@runtime_checkable
class Attack(Protocol):
    """Settings of an attack; it prints as tables call it."""

    def __call__(self, net: nn.Module, pixels: Pixels, labels: Labels, streams: list[torch.Generator]) -> Pixels:
        """The pictures after it; what is random about a picture comes from its own stream."""
        ...


@dataclass(frozen=True)
class FGSM:
    """One step along the sign of the gradient.

    eps  the largest change of a value, in 1/255, above 0
    """

    eps: float

    def __post_init__(self) -> None:
        if self.eps <= 0:
            raise UserError(f"eps={self.eps} must be above 0, in 1/255")

    def __str__(self) -> str:
        return f"FGSM {self.eps:g}/255"

    def __call__(self, net: nn.Module, pixels: Pixels, labels: Labels, streams: list[torch.Generator]) -> Pixels:
        """Pictures one step away."""
        return (pixels + self.eps / 255 * ascent(net, pixels, labels)).clamp(0, 1)


@dataclass(frozen=True)
class PGD:
    """Several steps along the sign of the gradient, each brought back to the ball.

    eps     the largest change of a value, in 1/255, above 0
    steps   how many, at least 1
    step    length of one, in 1/255, above 0
    random  begin at a random point of the ball, else at the picture
    """

    eps: float
    steps: int = 10
    step: float = 2.0
    random: bool = True

    def __post_init__(self) -> None:
        if self.eps <= 0 or self.steps < 1 or self.step <= 0:
            raise UserError(f"PGD needs eps > 0, steps >= 1 and step > 0, got {self.eps}, {self.steps}, {self.step}")

    def __str__(self) -> str:
        told = "" if self.step == 2 else f", steps of {self.step:g}/255"
        return f"PGD-{self.steps} {self.eps:g}/255{told}" + ("" if self.random else ", from the picture")

    def __call__(self, net: nn.Module, pixels: Pixels, labels: Labels, streams: list[torch.Generator]) -> Pixels:
        """Pictures some steps away."""
        low, high = (pixels - self.eps / 255).clamp_min(0), (pixels + self.eps / 255).clamp_max(1)
        x = pixels
        if self.random:
            away = [torch.rand(tuple(pixels.shape[1:]), generator=stream) for stream in streams]
            x = torch.clamp(pixels + self.eps / 255 * (2 * torch.stack(away).to(pixels.device) - 1), low, high)
        for _ in range(self.steps):
            x = torch.clamp(x + self.step / 255 * ascent(net, x, labels), low, high)
        return x


DD_ROBUSTBENCH: tuple[Attack, ...] = (
    FGSM(2), FGSM(4), FGSM(8), PGD(2, steps=5), PGD(2, steps=10), PGD(4, steps=5), PGD(4, steps=10), PGD(8, steps=10),
)  # fmt: skip
"""FGSM and PGD as in "DD-RobustBench" (Wu et al., 2024), https://arxiv.org/abs/2403.13322; its steps are 2/255 for every eps."""


def ascent(net: nn.Module, pixels: Pixels, labels: Labels) -> Tensor:
    """Sign of the gradient of every picture's own loss; 0 where the loss does not feel a pixel.

    Raises:
        UserError: the network is not differentiable.
        Diverged: the gradient is not finite.
    """
    with torch.enable_grad():
        x = pixels.detach().requires_grad_()
        loss = F.cross_entropy(net(x), labels, reduction="sum")  # a mean would only bring gradients nearer to underflow
    if not loss.requires_grad:
        raise UserError(f"{type(net).__name__} gives no gradient, so FGSM and PGD cannot attack it")
    gradient = torch.autograd.grad(loss, x)[0]
    if not bool(gradient.isfinite().all()):
        raise Diverged("the gradient of the loss by the pixels is not finite")
    return gradient.sign()


def streams_of(seed: int, what: str, positions: Tensor) -> list[torch.Generator]:
    """One random stream for each picture of a set, whatever else is in its batch."""
    return [seeds.stream(seed, what, position) for position in positions.tolist()]
