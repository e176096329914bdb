"""What a set is worth apart from its labels and its augmentation: the robust scores of DD-Ranking, https://arxiv.org/abs/2505.13300.

    HLR = A(full real) - A(set, hard labels)             how much the set loses without its labels
    IOR = A(set, its labels) - A(random real, the same)  how much it gains on real pictures that are treated alike
    alpha = w IOR - (1 - w) HLR                          LRS = (e^alpha - e^-1) / (e - e^-1)
    beta  = g (A(set) - A(random real)) with augmentation + (1 - g) of the same without      ARS = (e^beta - e^-1) / (e - e^-1)

Accuracies are fractions. LRS 0.269 is neutral: as good as random pictures, and nothing lost with hard labels.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gendistill.errors import UserError
from gendistill.formatting import spell_score


@dataclass(frozen=True)
class Score:
    """A robust score.

    value  in [0, 1]
    std    over seeds, or over sets; 0 with one
    n      seeds, or sets
    """

    value: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{spell_score(self.value, self.std)} ({self.n})"


def label_margin(full: float, hard: float, any_: float, random_any: float, weight: float = 0.5) -> float:
    """alpha, in [-1, 1]: w (any - random) - (1 - w) (full - hard)."""
    check_fractions(full=full, hard=hard, any_=any_, random_any=random_any, weight=weight)
    return weight * (any_ - random_any) - (1 - weight) * (full - hard)


def augmentation_margin(
    augmented: float, random_augmented: float, plain: float, random_plain: float, weight: float = 0.5
) -> float:
    """beta, in [-1, 1]: g (augmented - random) + (1 - g) (plain - random)."""
    check_fractions(
        augmented=augmented, random_augmented=random_augmented, plain=plain, random_plain=random_plain, weight=weight
    )
    return weight * (augmented - random_augmented) + (1 - weight) * (plain - random_plain)


def label_robust_score(full: float, hard: float, any_: float, random_any: float, weight: float = 0.5) -> float:
    """LRS in [0, 1] of accuracies as fractions.

    Args:
        full: of all real pictures.
        hard: of the set with hard labels.
        any_: of the set as its method wants it.
        random_any: of as many random real pictures, treated alike.
        weight: w, of the last two, in [0, 1].

    Raises:
        UserError: one of them is no fraction, such as a percentage.
    """
    return squashed(label_margin(full, hard, any_, random_any, weight))


def augmentation_robust_score(
    augmented: float, random_augmented: float, plain: float, random_plain: float, weight: float = 0.5
) -> float:
    """ARS in [0, 1] of accuracies as fractions.

    Args:
        augmented: of the set with the method's augmentation.
        random_augmented: of as many random real pictures, treated alike.
        plain: of the set without augmentation.
        random_plain: of the random pictures without it.
        weight: g, of those with augmentation, in [0, 1].

    Raises:
        UserError: one of them is no fraction, such as a percentage.
    """
    return squashed(augmentation_margin(augmented, random_augmented, plain, random_plain, weight))


def squashed(margin: float) -> float:
    """(e^x - e^-1) / (e - e^-1): -1 is 0, 0 is 0.269, 1 is 1."""
    return (math.exp(margin) - math.exp(-1)) / (math.e - math.exp(-1))


def deviation(margin: float, std: float) -> float:
    """Deviation of `squashed` where the margin has this one, to first order (delta method)."""
    return math.exp(margin) / (math.e - math.exp(-1)) * std


def over_seeds(margins: Sequence[float], sets: int | None = None) -> Score:
    """The score of the mean margin, which is that of the mean accuracies, and its deviation over seeds.

    Where seed i is a student of set i modulo ``sets``, several of them, the deviation is over sets.
    """
    if sets is not None and sets > 1:
        margins = [statistics.fmean(margins[place::sets]) for place in range(sets)]
    mean = statistics.fmean(margins)
    std = statistics.stdev(margins) if len(margins) > 1 else 0.0
    return Score(squashed(mean), deviation(mean, std), len(margins))


def check_fractions(**given: float) -> None:
    """Raise `UserError` unless all of these are in [0, 1]."""
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise UserError(
                f"{name.rstrip('_')}={value:g}: robust scores take accuracies and weights as fractions in [0, 1]; "
                "divide percentages by 100"
            )
