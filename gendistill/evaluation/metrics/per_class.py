"""What a student knows of each class: its accuracy there, and what it takes the pictures for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.nets.logits import check_logits
from gendistill.types import Labels


@dataclass(frozen=True)
class Mistake:
    """Pictures of one class that were taken for another.

    true, taken  indices of the classes
    pictures     how many
    """

    true: int
    taken: int
    pictures: int


@dataclass(frozen=True)
class PerClass:
    """Accuracy by class.

    confusion  pictures of class i (row) that were taken for class j (column)
    """

    confusion: tuple[tuple[int, ...], ...]

    @property
    def pictures(self) -> tuple[int, ...]:
        """How many there are of each class."""
        return tuple(sum(row) for row in self.confusion)

    @property
    def accuracy(self) -> tuple[float | None, ...]:
        """In percent, of each class; None where it has no pictures."""
        return tuple(100 * row[index] / sum(row) if sum(row) else None for index, row in enumerate(self.confusion))

    @property
    def mean(self) -> float:
        """Accuracy in percent where every class counts the same, however many pictures it has."""
        known = [value for value in self.accuracy if value is not None]
        return sum(known) / len(known)

    @property
    def worst(self) -> int:
        """Index of the class with the lowest accuracy, the first of several."""
        known = [(value, index) for index, value in enumerate(self.accuracy) if value is not None]
        return min(known)[1]

    def mistakes(self, count: int) -> tuple[Mistake, ...]:
        """The most frequent ones, most frequent first."""
        found = [
            Mistake(true, taken, pictures)
            for true, row in enumerate(self.confusion)
            for taken, pictures in enumerate(row)
            if pictures and true != taken
        ]
        return tuple(sorted(found, key=lambda one: -one.pictures)[:count])


def per_class(logits: Tensor, labels: Labels) -> PerClass:
    """Confusion of logits (n, k) with labels (n,)."""
    check_logits(logits, labels)
    classes = logits.shape[1]
    counts = torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2).view(classes, classes)
    return PerClass(tuple(map(tuple, counts.tolist())))
