"""What runs and files of results are called where several are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gendistill.errors import UserError


def called_path(given: str | Path) -> tuple[str, Path]:
    """The name, "" where there is none, and the path of NAME=PATH or PATH."""
    name, equals, path = str(given).partition("=")
    return (name, Path(path)) if equals and name and not Path(given).exists() else ("", Path(given))


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, and as many more of those that are called alike as tell them apart.

    A file that is called as a run is gives way to it: its rows may be that run's, and mostly say whose they are.

    Raises:
        UserError: one of them is given twice.
    """
    ways, chosen = [spellings(path) for path in paths], [0] * len(paths)
    while True:
        names = [way[place] for way, place in zip(ways, chosen, strict=True)]
        clashing = {name for name, count in Counter(names).items() if count > 1}
        if not clashing:
            return names
        for name in clashing:
            those = [number for number, one in enumerate(names) if one == name]
            files = [number for number in those if ways[number][-1].endswith(".json")]
            growing = [number for number in files or those if chosen[number] + 1 < len(ways[number])]
            if not growing:
                raise UserError(f"{name} is given twice: give it once")
            for number in growing:
                chosen[number] += 1


def spellings(path: Path) -> list[str]:
    """What a path may be called, from its last part to all of it; a file at first without its ending."""
    place = path.resolve()
    place = place.parent if place.name in ("metrics.json", "results.json") else place
    parts = place.parts[1:] or place.parts
    longer = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return [place.stem, *longer] if place.suffix == ".json" else longer
