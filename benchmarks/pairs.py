"""Pieces of work timed in interleaved rounds, in random order, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


def compared(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> dict[str, object]:
    """The median of our time over theirs, and its 95 % interval by bootstrap."""
    ours(), theirs()
    return ratios(timed(ours), timed(theirs), pairs)


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Tells the seconds of a run."""
    return lambda: spent(run)["wall"]


def spent(run: Callable[[], object], cpu: Callable[[], float] = time.process_time) -> dict[str, float]:
    """What a run takes: CPU seconds, and those of the clock."""
    started, before = clock(), cpu()
    run()
    wall = clock() - started
    return {"cpu": cpu() - before, "wall": wall}


def clock() -> float:
    """Seconds, read when a GPU has done all that it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def ratios(ours: Callable[[], float], theirs: Callable[[], float], pairs: int) -> dict[str, object]:
    """As `compared`, of runs that tell their seconds themselves."""
    found = rounds({"ours": ours, "theirs": theirs}, pairs)
    return middle([one["ours"] / one["theirs"] for one in found])


def rounds(runs: Mapping[str, Callable[[], T]], count: int) -> list[dict[str, T]]:
    """What each run tells, round by round: in every round each has its turn, in an order drawn anew."""
    order, found = random.Random(0), []
    for _ in range(count):
        turns = list(runs)
        order.shuffle(turns)
        found.append({name: runs[name]() for name in turns})
    return found


def middle(values: Sequence[float]) -> dict[str, object]:
    """The median of the ratios of some pairs, and its 95 % interval by bootstrap."""
    draws = random.Random(1)
    medians = sorted(statistics.median(draws.choices(values, k=len(values))) for _ in range(2000))
    return {
        "median time ratio": statistics.median(values),
        "95 % interval": [medians[50], medians[1949]],
        "pairs": len(values),
    }
