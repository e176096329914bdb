"""What a part will do, in pieces that can be timed: `gendistill plan` makes each piece once and multiplies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Work:
    """Some calls of one kind.

    what    "denoise", "decode", "encode", "train" ...
    calls   how many; a fraction where the last one is smaller
    once    makes one of them and leaves nothing behind
    shared  done once and kept on disk, however many sets are made
    rows    pictures one call works on
    each    what it is done for: every "unit" of a step, every "class" (however many blocks of slots it has), or the whole "run"
    """

    what: str
    calls: float
    once: Callable[[], object]
    shared: bool = False
    rows: int = 1
    each: Literal["unit", "class", "run"] = "unit"
