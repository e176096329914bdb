"""Progress that suits the reader: a bar with rate and time left in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("gendistill")
EVERY_S = 15.0


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items, while showing how many of them are done, at what rate, and how long the rest will take."""
    total = len(items) if total is None and isinstance(items, Sized) else total
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, leave=False, dynamic_ncols=True)
        return
    started = told = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told >= EVERY_S:
            told, rate = now, done / (now - started)
            left = f", {(total - done) / rate:.0f} s left" if total else ""
            log.info("%s: %d%s, %.3g/s%s", what, done, f" of {total}" if total else "", rate, left)
