"""Guidance: how the gradient of an objective changes the clean estimate while a picture is sampled.

    clean <- clean - weight * scale(level) * gradient

A displacement of the clean estimate equals every published insertion point up to a factor known from the level.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.objectives.base import Objective
from gendistill.steering.render import decode
from gendistill.types import Conditions, Draft, Estimate, Level, Loss, Synthetic, UserError


class Scale(ABC):
    """How strong guidance is at a level."""

    @abstractmethod
    def __call__(self, level: Level, after: Level) -> float:
        """The factor at ``level`` when the step ends at ``after``."""


@dataclass(frozen=True)
class Constant(Scale):
    """The same displacement of the clean estimate at every level."""

    def __call__(self, level: Level, after: Level) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class OnNoise(Scale):
    """As if sqrt(1 - abar) times the gradient were added to the predicted noise: sigma^2 / alpha on the clean estimate."""

    def __call__(self, level: Level, after: Level) -> float:
        """Unitless."""
        return float(level.sigma) ** 2 / max(float(level.alpha), 1e-4)


@dataclass(frozen=True)
class OnMean(Scale):
    """As if the posterior's deviation times the gradient were taken off the DDPM mean.

    The mean weighs the clean estimate by A = sqrt(abar') beta / (1 - abar), so the factor is deviation / A.
    """

    def __call__(self, level: Level, after: Level) -> float:
        """Posterior deviation over A; 0 at the last step, whose deviation is 0."""
        abar, before = float(level.alpha) ** 2, float(after.alpha) ** 2
        beta = 1 - abar / before
        deviation = math.sqrt(max(beta * (1 - before) / (1 - abar), 0.0))
        return deviation / (math.sqrt(before) * beta / (1 - abar))


@dataclass(frozen=True)
class Guide:
    """An objective that steers sampling.

    objective  what is wanted; its weight is the strength
    window     (from, to) in training time, 1 = noise: guidance acts where from <= time <= to
    scale      strength by level
    through    "clean": gradient at the clean estimate; "denoiser": at the noisy latent, through the network
    """

    objective: Objective
    window: tuple[float, float] = (0.0, 1.0)
    scale: Scale = Constant()
    through: str = "clean"

    def __post_init__(self) -> None:
        low, high = self.window
        if not 0 <= low < high <= 1:
            raise UserError(
                f"window={self.window} must be (from, to) in training time with 0 <= from < to <= 1; 1 is noise"
            )
        if self.through not in ("clean", "denoiser"):
            raise UserError(f"through={self.through!r}: 'clean' or 'denoiser'")

    def acts(self, level: Level) -> bool:
        """Whether ``level`` lies in the window."""
        return self.window[0] <= float(level.time) <= self.window[1]


@dataclass(frozen=True)
class BoundGuide:
    """A guide and its loss."""

    guide: Guide
    loss: Loss


def bind(guides: Sequence[Guide], context: Context) -> list[BoundGuide]:
    """Every guide with its objective bound to the real pictures of the context."""
    return [BoundGuide(guide, guide.objective.bind(context)) for guide in guides]


def displaced(
    estimate: Estimate,
    bound: Sequence[BoundGuide],
    draft: Draft,
    x: Tensor,
    conditions: Conditions,
    levels: tuple[Level, Level],
    step: int,
    chunk: int,
) -> Estimate:
    """The estimate moved against the gradients of all guides at this level, each taken where the estimate was.

    Where a guide works through the denoiser, ``x`` requires grad and ``estimate.clean`` was computed from it.
    """
    level, after = levels
    start = estimate.clean.detach()
    shift = torch.zeros_like(start)
    for item in bound:
        guide = item.guide
        through = guide.through == "denoiser"
        at = x if through else start.clone().requires_grad_()
        with torch.enable_grad():
            synthetic = Synthetic(
                draft.prior,
                {next(iter(draft.latents)): estimate.clean if through else at},
                draft.ids,
                draft.labels,
                x=x,
                level=level,
                conditions=conditions,
                step=step,
                decode=lambda latents: decode(draft.prior, latents, chunk),
            )
            (gradient,) = torch.autograd.grad(item.loss(synthetic).sum(), at, retain_graph=through)
        shift = shift + guide.objective.weight * guide.scale(level, after) * gradient
    clean = start - shift
    return Estimate(clean, None if estimate.log_variance is None else estimate.log_variance.detach())
