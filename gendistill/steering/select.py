"""Selection: of more pictures than are wanted, the best single ones by some objectives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gendistill.context import Context, together
from gendistill.objectives.base import Objective, Scope
from gendistill.steering.base import Steering
from gendistill.steering.render import rows
from gendistill.types import Draft, Synthetic, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Select(Steering):
    """Keep the pictures with the lowest weighted loss, ``ipc`` per class or one per slot.

    per_slot  keep the best candidate of every slot, so that each mode stays represented
    """

    objectives: tuple[Objective, ...]
    per_slot: bool = False
    keeps = True

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

    @torch.no_grad()
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The kept pictures in the order of their new slots, best first; a candidate number tells where each came from.

        Raises:
            UserError: there are fewer pictures than wanted.
        """
        scores = self._scores(
            draft, [objective.bind(context) for objective in self.objectives], together(context.real.train.shape)
        )
        kept: list[int] = []
        ids = draft.ids.clone()
        groups = draft.ids[:, :2] if self.per_slot else draft.ids[:, :1]
        for group in groups.unique(dim=0):
            members = torch.nonzero((groups == group).all(1)).flatten()
            wanted = 1 if self.per_slot else context.ipc
            if len(members) < wanted:
                name = context.real.classes[int(group[0])]
                raise UserError(
                    f"Select keeps {wanted} of {len(members)} pictures of class {name}: raise oversample in Sample"
                )
            best = members[scores[members].argsort(stable=True)[:wanted]]
            if not self.per_slot:
                per_slot = int(draft.ids[members, 2].max()) + 1
                ids[best, 2] = draft.ids[best, 1] * per_slot + draft.ids[best, 2]
                ids[best, 1] = torch.arange(wanted)
            kept += best.tolist()
        return replace(draft[torch.tensor(kept)], ids=ids[kept])

    def _scores(self, draft: Draft, losses: list, chunk: int) -> Tensor:
        parts = []
        for at in range(0, len(draft), chunk):
            part = draft[slice(at, at + chunk)]
            synthetic = Synthetic(draft.prior, rows(draft.latents, slice(at, at + chunk)), part.ids, part.labels)
            parts.append(sum(o.weight * loss(synthetic) for o, loss in zip(self.objectives, losses, strict=True)))
        return torch.cat(parts).cpu()

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """One decode and one look of every objective per picture."""
        latents = draft.latents or draft.prior.noise(context.seed, draft.ids)
        ready = replace(draft, latents=latents)
        losses = [objective.bind(context) for objective in self.objectives]

        @torch.no_grad()
        def once() -> Tensor:
            return self._scores(ready, losses, together(context.real.train.shape))

        for objective in self.objectives:
            yield from objective.work(context)
        yield Work("select", 1, once, rows=len(draft))
