"""What objectives that ask an ensemble of teachers have in common."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from gendistill.context import Context
from gendistill.nets import ensemble, trained
from gendistill.nets.teachers import AnsweringTeachers
from gendistill.objectives.base import Objective
from gendistill.work import Work


class Taught(AnsweringTeachers, Objective):
    """An objective with ``teachers``: references of classifiers, see `gendistill.nets.trained.load`."""

    looks_at_real = False

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the teachers that are trained in place."""
        for reference in self.teachers:
            yield from trained.work(reference, context)

    def nets(self, context: Context) -> list[nn.Module]:
        """The teachers, frozen, loaded once for all units of a stage."""
        return ensemble.load(self.teachers, context)
