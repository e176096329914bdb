"""How far a guide's gradient moves the clean estimate, by noise level.

Published samplers insert guidance at other places; each is a factor on the clean estimate that follows from the level
(Dhariwal & Nichol, NeurIPS 2021, https://arxiv.org/abs/2105.05233, and the DDPM posterior of Ho et al., 2020):

    a displacement d of the predicted noise    is   - sigma / alpha d      of the clean estimate
    a displacement d of the DDPM mean          is   d / A                  with A = sqrt(abar') beta / (1 - abar)

So for one-step solvers one hook with a factor is all of them; with multistep solvers the clean estimate is the definition.
What is said of DDPM is said, on a flow, of the variance preserving level with the same ratio of signal to noise:
abar = alpha^2 / (alpha^2 + sigma^2).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from gendistill.types import Level, UserError

LEAST_ALPHA = 1e-4
"""Cosine schedules end at pure noise, where alpha is 0 and the noise says nothing about the clean estimate."""


class Scale(ABC):
    """How strong guidance is at a level."""

    @property
    def constant(self) -> float | None:
        """The factor, where it is the same at every level."""
        return None

    @abstractmethod
    def __call__(self, level: Level, after: Level) -> float:
        """The factor at ``level`` when the next one below is ``after``."""


@dataclass(frozen=True)
class Constant(Scale):
    """The same displacement of the clean estimate at every level."""

    @property
    def constant(self) -> float | None:
        """1."""
        return 1.0

    def __call__(self, level: Level, after: Level) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class Power(Scale):
    """sigma^p alpha^q.

    sigma, alpha  the exponents. (2, -1): sigma times a gradient at the clean estimate, added to the predicted noise (MGD3's
                  DDIM form, LGD); (2, -2): the same with the gradient at the noisy latent and the noise held fixed (UAG);
                  (1, -1): the gradient alone, added to the predicted noise (CoDA)
    """

    sigma: float = 2.0
    alpha: float = -1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and math.isfinite(self.alpha)):
            raise UserError(f"{self}: exponents must be finite")

    @property
    def constant(self) -> float | None:
        """1 where nothing is raised."""
        return 1.0 if self.sigma == self.alpha == 0 else None

    def __call__(self, level: Level, after: Level) -> float:
        """Unitless."""
        return float(level.sigma) ** self.sigma * max(float(level.alpha), LEAST_ALPHA) ** self.alpha


@dataclass(frozen=True)
class OnMean(Scale):
    """As if the posterior's deviation times the gradient were taken off the DDPM mean (MGD3)."""

    def __call__(self, level: Level, after: Level) -> float:
        """Posterior deviation over A; 0 at the last step, whose deviation is 0."""
        abar, before = preserving(level)[0] ** 2, preserving(after)[0] ** 2
        beta = 1 - abar / before
        deviation = math.sqrt(max(beta * (1 - before) / (1 - abar), 0.0))
        return deviation / weight_in_mean(level, after)


@dataclass(frozen=True)
class OnStep(Scale):
    """As if sigma^p times the gradient were taken off the latent after a DDPM step.

    sigma  the exponent p: 1 with a matched gradient as in IGD, 0 as in DAP
    """

    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.sigma):
            raise UserError(f"{self}: the exponent must be finite")

    def __call__(self, level: Level, after: Level) -> float:
        """sigma^p over A."""
        return preserving(level)[1] ** self.sigma / weight_in_mean(level, after)


def preserving(level: Level) -> tuple[float, float]:
    """Alpha and sigma of the variance preserving level with the same ratio of signal to noise; of such a level, its own."""
    alpha, sigma = float(level.alpha), float(level.sigma)
    length = math.hypot(alpha, sigma)
    return (alpha, sigma) if math.isclose(length, 1, rel_tol=1e-6) else (alpha / length, sigma / length)


def weight_in_mean(level: Level, after: Level) -> float:
    """A: how much of the clean estimate is in the mean of the DDPM posterior."""
    abar, before = preserving(level)[0] ** 2, preserving(after)[0] ** 2
    return max(math.sqrt(before) * (1 - abar / before) / (1 - abar), LEAST_ALPHA)
