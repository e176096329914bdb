"""Herding (Welling, ICML 2009), https://doi.org/10.1145/1553374.1553517, of candidates towards the real mean feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gendistill.anchors.greedy import herding
from gendistill.context import Context
from gendistill.nets import ensemble
from gendistill.nets.trained import Trained
from gendistill.steering.selection import Selection, seen
from gendistill.types import Draft, Pixels
from gendistill.work import Work


@dataclass(frozen=True)
class SelectHerding(Selection):
    """Keep candidates one by one, each the one that brings the mean of the kept nearest to the mean of the real pictures.

    teachers  in whose features, side by side
    """

    teachers: tuple[Any, ...] = (Trained(),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", ensemble.members("SelectHerding", self.teachers))

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
            chosen.append(group[herding(seen(draft[group], see, context), real, wanted)])
        return chosen

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Training of teachers, a decode and a look at every candidate and every real picture."""
        real = sum(len(context.real.train.where(index)) for index in context.classes)
        yield from super().work(draft, context)
        yield from ensemble.work(self.teachers, context, len(draft) + real)
