"""How the temperature of a student's loss falls while it trains.

Dynamic knowledge reuse of LPQLD (Xiao & He, TPAMI 2025), https://ieeexplore.ieee.org/document/11395619:

T = max(2, 20 * 0.7^(epoch // 30))

Epochs are counted from 0; the authors' code counts them from 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.types import UserError


@dataclass(frozen=True)
class Cooling:
    """Labels that are seen again and again are seen sharper each time.

    by     factor each time
    every  epochs
    least  the lowest temperature
    """

    by: float = 0.7
    every: int = 30
    least: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.by < 1 or self.every < 1 or self.least <= 0:
            raise UserError(
                f"a temperature falls by a factor in (0, 1) every so many epochs to a least above 0, got {self.by}, {self.every}, "
                f"{self.least}"
            )

    def at(self, first: float, epoch: int) -> float:
        """max(least, first by^(epoch // every)), and never above ``first``."""
        return min(first, max(self.least, first * self.by ** (epoch // self.every)))
