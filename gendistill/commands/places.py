"""Where a command will write, looked at before the work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gendistill.errors import UserError

FIRST = 1000
"""Bytes of a page that are looked at."""


def check_place(file: Path) -> None:
    """Refuse a file that cannot be written, before any work."""
    check_writable(file)
    if os.path.isdir(file):
        raise UserError(f"{file} cannot be written: it is a folder; choose another place")


def check_folder(folder: Path, by: str) -> None:
    """Refuse a folder that cannot be written as a whole, or that holds anything but what the command ``by`` wrote there before."""
    from gendistill.exporting.export import replaceable

    check_writable(replaceable(folder, by))


def check_writable(place: Path) -> None:
    """Refuse a place beside which nothing can be written. Folders are not made, and nothing is left behind."""
    there = next(one for one in place.absolute().parents if os.path.lexists(one))
    try:
        # What the system says of rights is not all: there is nothing to be put into /proc, whoever asks.
        with tempfile.NamedTemporaryFile(dir=there, prefix=f".{place.name}.", suffix=".part"):
            pass
    except OSError as error:
        raise UserError(f"{place} cannot be written: {there}: {error.strerror}; choose another place") from error


def check_page(file: Path) -> None:
    """Refuse a page that cannot be written, or would be written over anything but a page of ours."""
    from gendistill.formatting import PAGE_MARK

    check_place(file)
    if os.path.lexists(file) and not (file.is_file() and PAGE_MARK.encode() in file.read_bytes()[:FIRST]):
        raise UserError(
            f"{file} is there and no page that gendistill wrote, so it is not overwritten (earlier versions did not sign theirs): "
            "choose another place, or remove it"
        )


def check_results(file: Path, path: str, ranked: bool = False) -> None:
    """Refuse a file for the results, or the ranking, of a set that cannot be written, or holds anything but those."""
    from gendistill.evaluation.comparing.results import check_own

    check_place(file)
    check_own(file, called(path), ranked)


def called(path: str) -> str:
    """What a set is called: by the last part of its path, also where that is written as "."."""
    return os.path.basename(os.path.abspath(path))
