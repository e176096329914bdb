"""Two pieces of work timed in interleaved pairs, in random order, so that what else the machine does meets both alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable


def compared(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> dict[str, object]:
    """The median of our time over theirs, and its 95 % interval by bootstrap."""
    ours(), theirs()
    return ratios(timed(ours), timed(theirs), pairs)


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Tells the seconds of a run."""

    def seconds() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return seconds


def ratios(ours: Callable[[], float], theirs: Callable[[], float], pairs: int) -> dict[str, object]:
    """As `compared`, of runs that tell their seconds themselves."""
    found, order = [], random.Random(0)
    for _ in range(pairs):
        pair, taken = [ours, theirs], {}
        order.shuffle(pair)
        for run in pair:
            taken[run] = run()
        found.append(taken[ours] / taken[theirs])
    draws = random.Random(1)
    medians = sorted(statistics.median(draws.choices(found, k=len(found))) for _ in range(2000))
    return {
        "median time ratio": statistics.median(found),
        "95 % interval": [medians[50], medians[1949]],
        "pairs": pairs,
    }
