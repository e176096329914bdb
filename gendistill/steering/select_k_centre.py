"""Greedy k-centre (Sener & Savarese, ICLR 2018), https://arxiv.org/abs/1708.00489: candidates that cover the real pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gendistill.anchors.greedy import k_centre
from gendistill.context import Context
from gendistill.nets import ensemble
from gendistill.nets.trained import Trained
from gendistill.steering.selection import Selection, seen
from gendistill.types import Draft, Pixels
from gendistill.work import Work


@dataclass(frozen=True)
class SelectKCentre(Selection):
    """Keep candidates one by one, each the one nearest to the real picture that is farthest from all kept so far.

    teachers  in whose features, side by side
    """

    teachers: tuple[Any, ...] = (Trained(),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", ensemble.members("SelectKCentre", self.teachers))

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return ensemble.origins(self.teachers, licence)

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """In the order they were picked."""
        nets, chosen = ensemble.load(self.teachers, context), []

        def see(pixels: Pixels) -> Tensor:
            return ensemble.features(nets, pixels)

        for group in groups:
            real = ensemble.look(context.stored(int(draft.labels[group[0]])), see, context)
            chosen.append(group[k_centre(seen(draft[group], see, context), real, wanted)])
        return chosen

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate and every real picture."""
        real = sum(len(context.real.train.where(index)) for index in context.classes)
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft) + real)
