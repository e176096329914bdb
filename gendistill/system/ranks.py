"""Several processes share the units of a run when a launcher such as ``torchrun`` started them; else there is one."""

from __future__ import annotations

import os
from datetime import timedelta

PATIENCE = timedelta(days=14)
"""How long a process waits for the others: the first may train teachers meanwhile. In milliseconds it must fit 31 bits."""


def count() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Whether this is the process that writes what only one may write."""
    return number() == 0


def wait() -> None:
    """Return when all processes are here."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE).wait_for_everyone()
