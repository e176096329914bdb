"""Candidates kept one by one in the features of teachers: by herding, or as the centres of the real pictures.

Herding (Welling, ICML 2009), https://doi.org/10.1145/1553374.1553517; greedy k-centre (Sener & Savarese, ICLR 2018),
https://arxiv.org/abs/1708.00489. The maths is that of the anchors of these names.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gendistill.anchors.greedy import herding, k_centre
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.nets import ensemble
from gendistill.nets.teachers import Teachers
from gendistill.nets.trained import Trained
from gendistill.steering.selection import Selection, seen
from gendistill.types import Pixels
from gendistill.work import Work


@dataclass(frozen=True)
class SelectGreedy(Teachers, Selection):
    """Keep candidates in the order they are picked in feature space.

    teachers  in whose features, side by side
    """

    teachers: tuple[Any, ...] = (Trained(),)
    looks_at_real = True

    @abstractmethod
    def pick(self, candidates: Tensor, real: Tensor, count: int) -> Tensor:
        """Positions of ``count`` candidates (n, d) by the real features (m, d), first pick first."""

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """In the order they were picked."""
        nets, chosen = ensemble.load(self.teachers, context), []

        def see(pixels: Pixels) -> Tensor:
            return ensemble.features(nets, pixels)

        for group in groups:
            real = ensemble.look(context.stored(int(draft.labels[group[0]])), see, context)
            chosen.append(group[self.pick(seen(draft[group], see, context), real, wanted)])
        return chosen

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate and every real picture."""
        real = sum(len(context.real.train.where(index)) for index in context.classes)
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft) + real)


@dataclass(frozen=True)
class SelectHerding(SelectGreedy):
    """Keep candidates one by one, each the one that brings the mean of the kept nearest to the mean of the real pictures."""

    def pick(self, candidates: Tensor, real: Tensor, count: int) -> Tensor:
        """In the order of herding."""
        return herding(candidates, real, count)


@dataclass(frozen=True)
class SelectKCentre(SelectGreedy):
    """Keep candidates one by one, each the one nearest to the real picture that is farthest from all kept so far."""

    def pick(self, candidates: Tensor, real: Tensor, count: int) -> Tensor:
        """In the order they cover the real pictures."""
        return k_centre(candidates, real, count)
