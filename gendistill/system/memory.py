"""How much memory a piece of work takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch

EVERY_S = 0.005
"""Between two looks at the process; a CPU keeps no peak that could be set back."""


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """A function that tells the most bytes held inside the block so far: of the device's memory, else of the process's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    top, done = [resident()], threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_S):
            top[0] = max(top[0], resident())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: top[0]
    finally:
        done.set()
        thread.join()


def resident() -> int:
    """Bytes of main memory the process holds now."""
    return psutil.Process().memory_info().rss
