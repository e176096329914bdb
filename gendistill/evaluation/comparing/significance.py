"""Whether a difference is more than chance: paired over seeds, with the intervals it lies in; and whether two measures agree.

    d_i = a_i - b_i                                  seed by seed, so that what a seed brings to both of them falls out; where
                                                     sets have several students, set by set: a mean over the seeds of a set
    t interval   mean(d) +- t(n - 1) std(d) / sqrt(n)      (Student, Biometrika 1908), https://doi.org/10.1093/biomet/6.1.1
    bootstrap    quantiles of the means of resampled d      (Efron, Annals of Statistics 1979), https://doi.org/10.1214/aos/1176344552

Below ten seeds or so the t interval is the one to read: a bootstrap of so few numbers is too narrow. It stands beside it because it
asks for no normal distribution. Students of one set are no independent draws of the method: their interval says how sure the
difference of these two sets is, not what another seed would bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gendistill.errors import UserError
from gendistill.evaluation.tables import ONE_SET


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Difference:
    """How far one set is from another, seed by seed, or set by set where sets have several students.

    mean, std  of the differences, in the unit of what was given
    n          seeds, or sets
    t          interval of the mean, of differences that are normal
    bootstrap  interval of the mean, of resampled differences
    p          two-sided: how often chance alone is as far from 0, in [0, 1], by the t distribution; 1 where std is 0
    level      of both intervals
    sets       independent sets; None where it is not known
    """

    mean: float
    std: float
    n: int
    t: Interval
    bootstrap: Interval
    p: float
    level: float
    sets: int | None = None

    @property
    def count(self) -> str:
        """What it is over, in words; of one set also what that means."""
        if self.sets == 1:
            return f"n = {self.n}, {ONE_SET}"
        return f"n = {self.n}" + (" sets" if self.sets else "")

    @property
    def significant(self) -> bool:
        """Whether the t interval leaves out 0. Differences that are all the same have none: chance was not seen."""
        return self.std > 0 and 0.0 not in self.t

    def __str__(self) -> str:
        if self.std == 0:
            return f"{self.mean:+.1f} each time, so that there is no interval, {self.count}"
        return f"{self.mean:+.1f}, {spell(self.t, self.level)} (bootstrap {spell(self.bootstrap)}), {self.count}"


@dataclass(frozen=True)
class Agreement:
    """How far two measures put the same sets in the same order.

    rho       Spearman's rank correlation, in [-1, 1]
    n         sets
    bootstrap interval of it, over resampled sets
    level     of the interval
    """

    rho: float
    n: int
    bootstrap: Interval
    level: float

    def __str__(self) -> str:
        return f"Spearman {self.rho:.2f}, {spell(self.bootstrap, self.level, '.2f')} (bootstrap), n = {self.n}"


def paired(
    ours: Sequence[float],
    theirs: Sequence[float],
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    sets: Sequence[int] | None = None,
) -> Difference:
    """The difference of two sets whose i-th accuracies were measured with one seed.

    ``sets`` is the number of the independent set of every pair, None where it is not known. Of several, their means are compared.

    Raises:
        UserError: fewer than two pairs, or numbers that do not pair up.
    """
    a, b = checked(ours, theirs, 2, level, draws)
    count = None if sets is None else len(set(sets))
    apart = a - b
    if sets is not None and len(sets) != len(apart):
        raise UserError(
            f"{len(apart)} pairs and {len(sets)} numbers of sets do not go together: give one for every pair"
        )
    if sets is not None and len(set(sets)) > 1:
        apart = np.array([apart[np.equal(sets, one)].mean() for one in dict.fromkeys(sets)])
    n, mean, std = len(apart), float(apart.mean()), float(apart.std(ddof=1))
    error = std / math.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    means = apart[resamples(n, draws, seed)].mean(1)
    return Difference(
        mean, std, n, Interval(mean - half, mean + half), quantiles(means, level), two_sided(mean, error, n), level,
        count,
    )  # fmt: skip


def agreement(
    ours: Sequence[float], theirs: Sequence[float], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Agreement:
    """Spearman's rank correlation of two measures of the same sets: whether a quick protocol orders them as a full one does.

    Resamples that hold one value only have no order, and are left out. The others hold sets twice, whose ties lower the correlation
    a little: the interval errs on the side of doubt.

    Raises:
        UserError: fewer than three sets, a measure that is the same for all of them, or numbers that do not pair up.
    """
    a, b = checked(ours, theirs, 3, level, draws)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise UserError("a measure that is the same for all sets puts them in no order: compare sets that differ in it")
    places = resamples(len(a), draws, seed)
    found = rank_correlation(a[places], b[places])
    rho = float(rank_correlation(a[None], b[None])[0])
    return Agreement(rho, len(a), quantiles(found[np.isfinite(found)], level), level)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of (m, n) with that of the other, (m,); ties share their mean rank."""
    x, y = (stats.rankdata(each, axis=1) - (each.shape[1] + 1) / 2 for each in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))


def two_sided(mean: float, error: float, n: int) -> float:
    """How often a mean of n differences is this far from 0 by chance, given its standard error."""
    if error == 0:
        return 1.0
    return float(2 * stats.t.sf(abs(mean) / error, n - 1))


def resamples(n: int, draws: int, seed: int) -> np.ndarray:
    """Positions of n things drawn from n, with repetition, (draws, n)."""
    return np.random.default_rng(seed).integers(n, size=(draws, n))


def quantiles(values: np.ndarray, level: float) -> Interval:
    """The middle share ``level`` of some values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def checked(
    ours: Sequence[float], theirs: Sequence[float], least: int, level: float, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, once they are finite, equally many, and enough."""
    if not 0 < level < 1 or draws < 1:
        raise UserError(f"an interval needs a level in (0, 1) and draws >= 1, got {level} and {draws}")
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(f"{a.size} and {b.size} numbers do not pair up: give one of each for every seed")
    if len(a) < least:
        raise UserError(f"{len(a)} pairs say nothing of chance: measure at least {least}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise UserError("numbers that are not finite cannot be compared")
    return a, b


def spell(interval: Interval, level: float | None = None, form: str = "+.1f") -> str:
    """An interval in words: "95 % in [+0.1, +2.3]"."""
    words = f"[{interval.low:{form}}, {interval.high:{form}}]"
    return words if level is None else f"{100 * level:g} % in {words}"


def independent(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The number of the independent unit of every pair of sets: pairs that have a set in common on either side are of one unit."""
    units = list(range(len(pairs)))
    for here, (ours, theirs) in enumerate(pairs):
        for there in range(here):
            if ours == pairs[there][0] or theirs == pairs[there][1]:
                old, new = units[here], units[there]
                units = [new if unit == old else unit for unit in units]
    return units
