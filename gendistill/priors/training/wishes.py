"""What a training is to reach beside its own loss, and what all trainings with wishes share: one sum, and who broke it.

Every process works on its part of a batch. A wish for whole batches is looked at in each of them, with what the others made as
numbers; so many times its gradient then average to what one process would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.draft import Loss, Synthetic
from gendistill.types import Diverged


@dataclass(frozen=True)
class Wish:
    """What is wanted of the pictures of a batch beside the training's own loss.

    name    for an error
    loss    one number per group of pictures, summed
    whole   it must see the whole batch, not one process's part
    memory  what changes with every step, with ``remember(clean, labels, real)``, ``state_dict`` and ``load_state_dict``
    period  steps after which the state of the loss begins anew
    """

    name: str
    loss: Loss
    weight: float
    whole: bool = False
    memory: Any = None
    period: int = 1

    def term(self, shown: Synthetic, pictures: int, processes: int) -> Tensor:
        """Weight times the loss per picture, its gradient as many times as processes look at the same batch."""
        value = self.weight * self.loss(shown).sum() / pictures
        return value.detach() + processes * (value - value.detach()) if self.whole and processes > 1 else value


class Terms:
    """The sum of a step's losses, which remembers the first step at which each was not finite."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        """``names`` are those of the losses, in their order."""
        self.names, self.broken = names, torch.full((len(names),), -1, device=device)

    def total(self, terms: Sequence[Tensor], step: int) -> Tensor:
        """Their sum at a step."""
        values = torch.stack(list(terms))
        self.broken = torch.where((self.broken < 0) & ~values.detach().isfinite(), step, self.broken)
        return values.sum()

    def check(self, what: str, learning_rate: float, gather: Callable[[Tensor], Tensor]) -> None:
        """Raise `Diverged` if a loss was not finite in any process: ``what`` was done, and the first loss and step."""
        rows = gather(self.broken[None]).tolist()
        bad = [(step, place) for row in rows for place, step in enumerate(row) if step >= 0]
        if bad:
            step, place = min(bad)
            raise Diverged(
                f"{what}: {self.names[place]} is not finite at step {step}; "
                f"lower learning_rate={learning_rate:g} or the weights of the objectives"
            )


def among_all(mine: Tensor, part: slice, gather: Callable[[Tensor], Tensor]) -> Tensor:
    """The rows of all processes in their order: those of this one, ``part``, with their gradient, the others as numbers."""
    found = gather(mine.detach())
    return torch.cat([found[: part.start], mine, found[part.stop :]])


def whole_periods(steps: int, wishes: Sequence[Wish]) -> int:
    """So many steps, or a few more, that no wish is resumed in the middle of its period."""
    period = math.lcm(*(wish.period for wish in wishes))
    return math.ceil(steps / period) * period
