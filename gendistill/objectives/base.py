"""What every objective is: settings that, bound to real pictures, give a loss to be summed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.types import Labels, Losses, UserError
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
    looks_at_real  its own loss looks at real pictures; what it asks, such as a teacher, says so for itself
    """

    weight: float
    needs: tuple[type, ...] = ()
    scope: Scope = "picture"
    curvature: ClassVar[float | None] = None
    period: int = 1
    looks_at_real: ClassVar[bool] = True

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers it asks; ``licence`` is that of the real pictures."""
        return []

    def work(self, context: Context) -> Iterable[Work]:
        """What binding will cost beyond the first use of the loss: clustering, training of teachers."""
        return ()

    @abstractmethod
    def bind(self, context: Context) -> Loss:
        """Measure the real pictures of ``context.classes`` once; return the loss, one number per group, unweighted."""


Looks: TypeAlias = Mapping[Hashable, Tensor]
"""What a look at some pictures shows, by name, (rows, ...) each."""


class PartedLoss(ABC):
    """A loss of pictures that are judged together, of which little is enough: what each part of them shows to a network.

    So a class passes its network in parts, whose pixels and activations need not be held beside each other. It is called as any
    `Loss` is, too.

    adds  looks at parts are summed; else one is put below the other
    """

    adds: ClassVar[bool] = False

    def __call__(self, synthetic: Synthetic) -> Losses:
        """One number per group, of pictures that are looked at together."""
        return self.judge(self.look(synthetic), synthetic)

    def parts(self, synthetic: Synthetic) -> bool:
        """Whether looks at parts show at this step what a look at all of them does."""
        return True

    @abstractmethod
    def look(self, synthetic: Synthetic) -> Looks:
        """What some of the pictures show; gradients flow through where they are enabled."""

    @abstractmethod
    def judge(self, looks: Looks, synthetic: Synthetic) -> Losses:
        """One number per group, from the looks at all parts. The pixels of ``synthetic`` are not asked for."""


class MemoryLoss(ABC):
    """A loss that remembers what fine-tuning showed it. It is called as any `Loss` is, and kept in checkpoints of the tuning."""

    @abstractmethod
    def __call__(self, synthetic: Synthetic) -> Losses:
        """One number per group."""

    @abstractmethod
    def remember(self, clean: Tensor, labels: Labels, real: Tensor) -> None:
        """Take in a finished step: clean estimates, their classes and the real latents they were made of, detached.

        The rows are those of all processes, in rank order, so that all remember the same. The first call, which may bring
        no rows, says that this is fine-tuning: what the memory stands in for elsewhere is then not looked at.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """What it remembers."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Remember this instead."""


def nothing(synthetic: Synthetic) -> Tensor:
    """The loss of a class without pictures: 0, which depends on the latents so that a gradient can be asked for."""
    return next(iter(synthetic.latents.values()))[:0].sum()


def of_class(values: Tensor, labels: Labels, index: int) -> Tensor:
    """The rows of a class. Where all are of it, the values themselves: a choice is a copy, and pictures would be held twice."""
    mine = labels == index
    return values if bool(mine.all()) else values[mine.to(values.device)]


def widest(scopes: list[Scope]) -> Scope:
    """The widest of some scopes, at least 'picture'."""
    return SCOPES[max((SCOPES.index(scope) for scope in scopes), default=0)]


def check_weights(who: str, objectives: Iterable[Objective]) -> None:
    """Raise `UserError` where the weight of an objective is not a finite number of at least 0."""
    for one in objectives:
        if not 0 <= one.weight < math.inf:
            raise UserError(f"{who} needs objectives with weights of at least 0, {one} has {one.weight}")


def named(objectives: Iterable[Objective]) -> str:
    """Objectives and their weights, for an error."""
    return ", ".join(f"{type(one).__name__} (weight {one.weight:g})" for one in objectives)
