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
    """Neighbouring steps of one scope, over the slots of one round.

    number  among all stages of the recipe
    first   position of the first of the steps in the recipe
    begins  there is nothing yet: drafts are empty
    last    pictures come out of it
    """

    number: int
    first: int
    steps: tuple[Steering, ...]
    scope: Scope
    round: int
    begins: bool
    last: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.number}-" + "-".join(type(step).__name__.lower() for step in self.steps)

    @property
    def folder(self) -> str:
        """Where its files lie."""
        return "pictures" if self.last else self.name

    def units(self, recipe: Recipe, classes: int) -> Iterator[Unit]:
        """All units of this stage, class by class."""
        start, end = (share * recipe.ipc // recipe.rounds for share in (self.round, self.round + 1))
        if self.scope == "set":
            yield Unit(tuple(range(classes)), start, end - start, end - start)
            return
        size = recipe.block if self.scope == "picture" else end - start
        for index in range(classes):
            for first in range(start, end, size):
                yield Unit((index,), first, size, min(size, end - first))


def stages(recipe: Recipe) -> list[Stage]:
    """The steps of a recipe in groups of one scope, for every round."""
    groups: list[list[Steering]] = []
    for step in recipe.steering:
        if groups and groups[-1][-1].scope == step.scope:
            groups[-1].append(step)
        else:
            groups.append([step])
    found: list[Stage] = []
    for number in range(recipe.rounds):
        first = 0
        for place, group in enumerate(groups):
            ends = place == len(groups) - 1
            found.append(Stage(len(found), first, tuple(group), group[0].scope, number, place == 0, ends))
            first += len(group)
    return found
