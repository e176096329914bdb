"""How a mistake is told: lists that stay short, the nearest valid names, and paths that do not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from gendistill.types import UserError

SHOWN = 6


def listed(things: Iterable[object]) -> str:
    """The things in a row, the first few by name and the others counted."""
    named = [str(thing) for thing in things]
    rest = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, valid: Iterable[str]) -> str:
    """What would do instead of ``name``: the valid names most like it, or all of them where none is like it."""
    valid = list(valid)
    folded = {other.casefold(): other for other in valid}
    close = [folded[other] for other in get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
    return f"did you mean {' or '.join(repr(other) for other in close)}?" if close else f"there is {listed(valid)}"


def existing(path: str | Path, field: str) -> Path:
    """The path itself if something is there; otherwise an error that names its nearest neighbours."""
    found = Path(path).expanduser()
    if found.exists():
        return found
    if not found.parent.is_dir():
        raise UserError(f"{field}={str(path)!r} does not exist, nor does the folder it would be in")
    beside = [neighbour.name for neighbour in sorted(found.parent.iterdir())]
    raise UserError(f"{field}={str(path)!r} does not exist; in {found.parent}: {nearest(found.name, beside)}")
