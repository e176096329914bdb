"""How a learning rate falls: its factor when a share of the steps is done."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from gendistill.types import UserError


class RateSchedule(ABC):
    """The course of a learning rate; a frozen dataclass."""

    @abstractmethod
    def factor(self, done: float) -> float:
        """What the learning rate is multiplied by when a share ``done`` in [0, 1) of the steps is taken."""


@dataclass(frozen=True)
class ConstantRate(RateSchedule):
    """No change."""

    def factor(self, done: float) -> float:
        """One."""
        return 1.0


@dataclass(frozen=True)
class CosineDecay(RateSchedule):
    """Half a cosine to zero.

    stretch  how many trainings long it is: with 2 the last step is at half the rate, where RDED's protocol ends
    """

    stretch: float = 1.0

    def __post_init__(self) -> None:
        if self.stretch < 1:
            raise UserError(
                f"stretch={self.stretch}: a cosine that ends before the training would rise again, use 1 or more"
            )

    def factor(self, done: float) -> float:
        """(1 + cos(pi done / stretch)) / 2."""
        return 0.5 * (1 + math.cos(math.pi * done / self.stretch))


@dataclass(frozen=True)
class StepDecay(RateSchedule):
    """Falls at once, at some places.

    at  shares of the training after which it falls
    by  what it falls by each time
    """

    at: tuple[float, ...] = (0.5,)
    by: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(self.at))
        if not all(0 < place < 1 for place in self.at) or not 0 < self.by < 1:
            raise UserError(
                f"a rate falls at shares in (0, 1) of a training by a factor in (0, 1), got {self.at} and {self.by}"
            )

    def factor(self, done: float) -> float:
        """``by`` to the power of the places that are passed."""
        return self.by ** sum(done >= place for place in self.at)


@dataclass(frozen=True)
class Warmup(RateSchedule):
    """A straight rise, then another schedule over the rest.

    then   what follows
    share  of the training that it takes
    start  factor at its beginning
    """

    then: RateSchedule = CosineDecay()
    share: float = 0.05
    start: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not 0 <= self.start <= 1:
            raise UserError(
                f"a rise takes a share in (0, 1) of the training from a factor in [0, 1], got {self.share} and {self.start}"
            )

    def factor(self, done: float) -> float:
        """From ``start`` to 1, then as ``then`` says."""
        if done < self.share:
            return self.start + (1 - self.start) * done / self.share
        return self.then.factor((done - self.share) / (1 - self.share))
