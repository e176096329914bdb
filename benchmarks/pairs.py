"""Two pieces of work timed in interleaved pairs, in random order, so that what else the machine does meets both alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable


def compared(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> dict[str, object]:
    """The median of our time over theirs, and its 95 % interval by bootstrap."""
    ratios, order = [], random.Random(0)
    ours(), theirs()
    for _ in range(pairs):
        pair, taken = [ours, theirs], {}
        order.shuffle(pair)
        for run in pair:
            started = time.perf_counter()
            run()
            taken[run] = time.perf_counter() - started
        ratios.append(taken[ours] / taken[theirs])
    draws = random.Random(1)
    medians = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(2000))
    return {
        "median time ratio": statistics.median(ratios),
        "95 % interval": [medians[50], medians[1949]],
        "pairs": pairs,
    }
