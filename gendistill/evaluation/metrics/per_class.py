"""What a student knows of each class: its accuracy there, and what it takes the pictures for."""

from __future__ import annotations

from collections.abc import Mapping
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

    pictures   how many there are of each class
    confusion  (i, j) -> pictures of class i that were taken for class j, where there are any: a table of all pairs of ten thousand
               classes would not fit
    """

    pictures: tuple[int, ...]
    confusion: Mapping[tuple[int, int], int]

    @property
    def right(self) -> tuple[int, ...]:
        """Pictures of each class that were taken for what they are."""
        return tuple(self.confusion.get((index, index), 0) for index in range(len(self.pictures)))

    @property
    def accuracy(self) -> tuple[float | None, ...]:
        """In percent, of each class; None where it has no pictures."""
        return tuple(100 * right / n if n else None for right, n in zip(self.right, self.pictures, strict=True))

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
        found = [Mistake(true, taken, pictures) for (true, taken), pictures in self.confusion.items() if true != taken]
        return tuple(sorted(found, key=lambda one: -one.pictures)[:count])


def per_class(logits: Tensor, labels: Labels) -> PerClass:
    """Confusion of logits (n, k) with labels (n,)."""
    check_logits(logits, labels)
    classes = logits.shape[1]
    pairs, counts = (labels * classes + logits.argmax(1)).unique(return_counts=True)
    confusion = {divmod(pair, classes): count for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)}
    return PerClass(tuple(torch.bincount(labels, minlength=classes).tolist()), confusion)
