"""How the steps of a recipe are executed: neighbours of one scope together, unit by unit, each unit one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gendistill.objectives.base import Scope
from gendistill.recipe import Recipe
from gendistill.steering.base import Steering


@dataclass(frozen=True)
class Unit:
    """Some slots of some classes that are worked on together.

    slots  how many are worked on, from ``first``; of these ``kept`` are wanted, the others only fill the block
    """

    classes: tuple[int, ...]
    first: int
    slots: int
    kept: int

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"class-{self.classes[0]:05d}-{self.classes[-1]:05d}-slots-{self.first:05d}"


@dataclass(frozen=True)
class Stage:
    """Neighbouring steps of one scope; ``first`` is the position of the first of them in the recipe."""

    number: int
    first: int
    steps: tuple[Steering, ...]
    scope: Scope
    last: bool

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.number}-" + "-".join(type(step).__name__.lower() for step in self.steps)

    def units(self, recipe: Recipe, classes: int) -> Iterator[Unit]:
        """All units of this stage, in the order of the set."""
        if self.scope == "set":
            yield Unit(tuple(range(classes)), 0, recipe.ipc, recipe.ipc)
            return
        size = recipe.block if self.scope == "picture" else recipe.ipc
        for index in range(classes):
            for first in range(0, recipe.ipc, size):
                yield Unit((index,), first, size, min(size, recipe.ipc - first))


def stages(recipe: Recipe) -> list[Stage]:
    """The steps of a recipe in groups of one scope."""
    groups: list[list[Steering]] = []
    for step in recipe.steering:
        if groups and groups[-1][-1].scope == step.scope:
            groups[-1].append(step)
        else:
            groups.append([step])
    found, first = [], 0
    for number, group in enumerate(groups):
        found.append(Stage(number, first, tuple(group), group[0].scope, number == len(groups) - 1))
        first += len(group)
    return found
