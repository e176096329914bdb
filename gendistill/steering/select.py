"""Selection: of more pictures than are wanted, the best single ones by some objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.context import Context, together
from gendistill.draft import Draft, Loss, Synthetic
from gendistill.objectives.base import Objective, Scope
from gendistill.steering.in_parts import Term, losses_of
from gendistill.steering.selection import Selection, imagined
from gendistill.types import UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Select(Selection):
    """Keep the pictures with the lowest weighted loss: the best of a class, or the best candidate of each slot.

    per_slot  keep the best candidate of every slot, so that each mode stays represented
    """

    objectives: tuple[Objective, ...]
    per_slot: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "objectives", tuple(self.objectives))
        judges = [type(objective).__name__ for objective in self.objectives if objective.scope != "picture"]
        if judges or not self.objectives:
            raise UserError(
                f"Select ranks pictures one by one and needs objectives of scope 'picture', got {', '.join(judges) or 'none'}"
            )

    @property
    def scope(self) -> Scope:
        """The pictures of a slot, or of a class."""
        return "picture" if self.per_slot else "class"

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """The best, best first; or the best of every slot."""
        losses = [objective.bind(context) for objective in self.objectives]
        scores = self._scores(draft, losses, together(context.real.train.shape))

        def best(group: Tensor, count: int) -> Tensor:
            return group[scores[group].argsort(stable=True)[:count]]

        if not self.per_slot:
            return [best(group, wanted) for group in groups]
        slots = draft.ids[:, 1]
        return [torch.cat([best(group[slots[group] == slot], 1) for slot in slots.unique()]) for group in groups]

    def _scores(self, draft: Draft, losses: list[Loss], chunk: int) -> Tensor:
        synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, conditions=draft.conditions)
        terms = [Term(one.weight, one.scope, loss) for one, loss in zip(self.objectives, losses, strict=True)]
        found = zip(terms, losses_of(terms, synthetic, chunk), strict=True)
        return torch.stack([term.weight * losses for term, losses in found]).sum(0).cpu()

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """One decode and one look of every objective per picture."""
        ready, losses = imagined(draft, context), [objective.bind(context) for objective in self.objectives]

        @torch.no_grad()
        def once() -> Tensor:
            return self._scores(ready, losses, together(context.real.train.shape))

        for objective in self.objectives:
            yield from objective.work(context)
        yield Work("select", 1, once, rows=len(draft))
