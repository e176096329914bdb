"""One process at a time in a folder, or at a place where one will be.

The lock of a folder is a file in it: however its path is spelled, through a link or as ".", it is the same file. It stays there,
empty: removing it would let in two who hold different files of one name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gendistill.system import ranks
from gendistill.system.store import cache_root, fingerprint, out_of_space
from gendistill.types import UserError

log = logging.getLogger("gendistill")
LOCK = ".lock-"
"""How their names begin; the number of the process follows, of several that work together."""


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, which is made if it is not there.

    wait  for another process that holds it

    Raises:
        UserError: another process holds it, or the disk is full.
    """
    with held(folder / f"{LOCK}{ranks.number()}", f"another process works in {folder}", wait):
        yield


@contextmanager
def alone_at(place: Path) -> Iterator[None]:
    """Hold a place that is written as a whole, of which no trace stays there; waits for another process that holds it.

    Raises:
        UserError: the disk is full.
    """
    file = cache_root() / "locks" / fingerprint(str(place.resolve()))
    with held(file, f"another process writes {place}", wait=True):
        yield


@contextmanager
def held(file: Path, busy: str, wait: bool) -> Iterator[None]:
    """Hold a lock, whose folder is made if it is not there; ``busy`` says that another process does.

    Raises:
        UserError: it does, and this is not to wait; or the disk is full.
    """
    with out_of_space(standing(file.parent)):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise UserError(f"{busy}; wait for it, or choose another --out") from None
            log.info("%s; waiting for it", busy)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there; also what is there and is no folder."""
    return next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
