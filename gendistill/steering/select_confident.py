"""CaO2 (Wang et al., ICCV 2025), https://arxiv.org/abs/2506.22637, its selection: correctly classified, by confidence.

Few pictures per class must be typical, many may be hard: the most confident come first at low IPC, the least at high. Where
too few are correct, those fill up whose class asked for is most probable; in the authors' code those of which any class is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.nets import ensemble
from gendistill.nets.teachers import AnsweringTeachers
from gendistill.nets.trained import Trained
from gendistill.steering.selection import Selection, seen
from gendistill.types import RealData
from gendistill.work import Work

HIGH_IPC = 50
"""From here on the published choice is the least confident of the correct ones."""


@dataclass(frozen=True)
class SelectConfident(AnsweringTeachers, Selection):
    """Keep correctly classified pictures by confidence; where there are too few, the most confident others fill up.

    teachers  whose mean probabilities decide, see `gendistill.nets.trained.load`
    easiest   most confident first (True) or least confident first (False); None: first below 50 pictures per class
    """

    teachers: tuple[Any, ...] = (Trained(),)
    easiest: bool | None = None

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a teacher cannot be had, or does not know the classes."""
        ensemble.check(self.teachers, data.classes)

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """The correct ones in the asked order, then the others by confidence."""
        nets = ensemble.load(self.teachers, context)
        easiest = context.ipc < HIGH_IPC if self.easiest is None else self.easiest
        chosen = []
        for group in groups:
            candidates = draft[group]
            probabilities = seen(candidates, lambda pixels: ensemble.probabilities(nets, pixels), context)
            chosen.append(group[by_confidence(probabilities, candidates.labels, easiest)[:wanted]])
        return chosen

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate."""
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft))


def by_confidence(probabilities: Tensor, labels: Tensor, easiest: bool) -> Tensor:
    """An order of pictures: correct ones by confidence (highest first if ``easiest``), then the others, highest first."""
    confidence = probabilities.gather(1, labels.view(-1, 1)).flatten()
    correct = probabilities.argmax(1) == labels
    rank = torch.where(correct & torch.tensor(not easiest), confidence, -confidence)
    first, rest = (torch.nonzero(mask).flatten() for mask in (correct, ~correct))
    return torch.cat([part[rank[part].argsort(stable=True)] for part in (first, rest)])
