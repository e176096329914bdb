"""What every objective is: settings that, bound to real pictures, give a loss to be summed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal

from gendistill.context import Context
from gendistill.types import Loss
from gendistill.work import Work

Scope = Literal["picture", "class", "set"]
SCOPES: tuple[Scope, ...] = ("picture", "class", "set")
"""What must be seen together, narrowest first."""


class Objective(ABC):
    """What is wanted of synthetic pictures; a frozen dataclass with a ``weight``.

    weight  strength; losses are sums, so it means the same at every IPC
    needs   capabilities of the prior it uses
    scope   what one number of its loss judges
    curvature  largest second derivative of the unweighted loss by the clean latent, where it is known
    period  optimiser steps after which the state of its loss begins anew: an optimisation is resumed only there
    """

    weight: float
    needs: ClassVar[tuple[type, ...]] = ()
    scope: Scope = "picture"
    curvature: ClassVar[float | None] = None
    period: int = 1

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers it asks; ``licence`` is that of the real pictures."""
        return []

    def work(self, context: Context) -> Iterable[Work]:
        """What binding will cost beyond the first use of the loss: clustering, training of teachers."""
        return ()

    @abstractmethod
    def bind(self, context: Context) -> Loss:
        """Measure the real pictures of ``context.classes`` once; return the loss, one number per group, unweighted."""


def widest(scopes: list[Scope]) -> Scope:
    """The widest of some scopes, at least 'picture'."""
    return SCOPES[max((SCOPES.index(scope) for scope in scopes), default=0)]
