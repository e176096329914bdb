"""What objectives that ask an ensemble of teachers have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from gendistill.context import Context
from gendistill.nets import ensemble, trained
from gendistill.objectives.base import Objective
from gendistill.work import Work


class Taught(Objective):
    """An objective with ``teachers``: references of classifiers, see `gendistill.nets.trained.load`."""

    teachers: tuple[Any, ...]
    looks_at_real = False

    def __post_init__(self) -> None:
        """Wrap loaded modules.

        Raises:
            UserError: there is no teacher, or something else is among them.
        """
        object.__setattr__(self, "teachers", ensemble.members(type(self).__name__, self.teachers))

    @property
    def answering(self) -> tuple[Any, ...]:
        """Teachers whose answers count: all."""
        return self.teachers

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return ensemble.origins(self.teachers, licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the teachers that are trained in place."""
        for reference in self.teachers:
            yield from trained.work(reference, context)

    def nets(self, context: Context) -> list[nn.Module]:
        """The teachers, frozen, loaded once while this unit lasts."""
        return ensemble.load(self.teachers, context)
