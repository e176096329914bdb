"""IMS3 (Wang et al., CVPR 2026), https://arxiv.org/abs/2603.13960, its S3: groups that stand for their class and keep apart.

    choose one group per class to maximise   alpha sum_i -log d(c_i, r_i)  +  beta / (C - 1) sum_(i<j) log d(c_i, c_j)

c_i is the mean normalised feature of the chosen group of class i, brought back to length 1, r_i that of real pictures, and d
one less the cosine. The authors' code does not divide by the number of other classes, the paper does: without it, being apart
drowns being near the more classes there are. Coordinate ascent: class after class takes the group that is best beside the
present choice of the others, beginning with the groups nearest to the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.nets import ensemble
from gendistill.nets.teachers import Teachers
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Scope
from gendistill.steering.selection import Selection, seen
from gendistill.types import Pixels, UserError
from gendistill.work import Work

LEAST = 1e-12
"""The smallest distance whose logarithm is taken."""


@dataclass(frozen=True)
class SelectGroups(Teachers, Selection):
    """Keep one group of every class. The g-th candidates of all slots are group g, so ``oversample`` makes as many groups.

    teachers  in whose features, each normalised to length 1
    alpha     weight of being near to the real pictures of the class
    beta      weight of being far from the other classes
    sweeps    over the classes, at most
    pictures  real pictures of a class that are looked at
    """

    teachers: tuple[Any, ...] = (Trained(),)
    alpha: float = 0.4
    beta: float = 0.9
    sweeps: int = 5
    pictures: int = 200
    looks_at_real = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sweeps < 0 or self.pictures < 1:
            raise UserError(
                f"SelectGroups needs sweeps >= 0 and pictures >= 1, got sweeps={self.sweeps}, pictures={self.pictures}"
            )

    @property
    def scope(self) -> Scope:
        """All classes: they are kept apart from each other."""
        return "set"

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """The pictures of the chosen group of every class, slot by slot.

        Raises:
            UserError: a group lacks pictures of some slots.
        """
        nets = ensemble.load(self.teachers, context)

        def see(pixels: Pixels) -> Tensor:
            return torch.cat([F.normalize(ensemble.features([net], pixels), dim=1) for net in nets], 1)

        centres, real = [], []
        for rows in groups:
            index, candidate = int(draft.labels[rows[0]]), draft.ids[rows, 2]
            sizes = torch.bincount(candidate)
            if bool((sizes != wanted).any()):
                raise UserError(
                    f"SelectGroups keeps whole groups of {wanted} pictures, one per slot, and class "
                    f"{context.real.classes[index]} has groups of {sizes.tolist()}: put it right after Sample(oversample=5)"
                )
            features = seen(draft[rows], see, context)
            centres.append(torch.stack([features[candidate == g].mean(0) for g in range(len(sizes))]))
            real.append(ensemble.look(self._some(index, context), see, context).mean(0))
        chosen = ascend(centres, torch.stack(real), self.alpha, self.beta, self.sweeps)
        kept = [rows[draft.ids[rows, 2] == number] for rows, number in zip(groups, chosen, strict=True)]
        return [rows[draft.ids[rows, 1].argsort()] for rows in kept]

    def _some(self, index: int, context: Context) -> Tensor:
        where = context.real.train.where(index)
        order = torch.randperm(len(where), generator=seeds.stream(context.seed, "groups", index))
        return context.real.train.stored(where[order[: self.pictures]])

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate, and at some real pictures."""
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft) + self.pictures * len(context.classes))


def ascend(centres: Sequence[Tensor], real: Tensor, alpha: float, beta: float, sweeps: int) -> list[int]:
    """The chosen group of every class.

    Args:
        centres: of the groups of every class, (groups, d) each.
        real: of the real pictures, (classes, d).
        alpha: weight of being near.
        beta: weight of being apart.
        sweeps: at most; it ends when nothing changes.
    """
    near = [-_log_distance(mine, real[i : i + 1]).flatten() for i, mine in enumerate(centres)]
    chosen = [int(score.argmax()) for score in near]
    taken = torch.stack([mine[number] for mine, number in zip(centres, chosen, strict=True)])
    for _ in range(sweeps):
        before = list(chosen)
        for i, mine in enumerate(centres):
            apart = _log_distance(mine, taken)
            apart[:, i] = 0
            chosen[i] = int((alpha * near[i] + beta * apart.sum(1) / max(len(centres) - 1, 1)).argmax())
            taken[i] = mine[chosen[i]]
        if chosen == before:
            break
    return chosen


def _log_distance(some: Tensor, others: Tensor) -> Tensor:
    some, others = (F.normalize(points.double(), dim=1) for points in (some, others))
    return (1 - some @ others.T).clamp_min(LEAST).log()
