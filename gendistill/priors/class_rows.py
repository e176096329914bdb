"""Which label row of a checkpoint stands for which class of the data: by name and WordNet id, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gendistill import wordnet
from gendistill.nets.alignment import places
from gendistill.types import Class, UserError


def class_rows(classes: Sequence[Class], names: Mapping[int, str], whose: str) -> tuple[int, ...]:
    """The row of every class in a checkpoint that calls its rows ``names``.

    Raises:
        UserError: a class is missing or ambiguous, or the checkpoint has no names at all.
    """
    if not names:
        raise UserError(
            f"{whose} does not name its classes; say which row stands for which: rows=(...), one row for each of "
            + ", ".join(c.name for c in classes)
        )
    return places(classes, names, whose, "use a prior trained on these classes, or say which row is whose: rows=(...)")


def label_rows(
    classes: Sequence[Class],
    rows: tuple[int, ...] | None,
    count: int,
    names: Mapping[int | str, str] | None,
    whose: str,
) -> tuple[int, ...]:
    """The row of every class: as said, or by what a checkpoint with ``count`` rows calls them.

    One with 1000 rows that says nothing of their names (None) holds ImageNet-1K in its own order.

    Raises:
        UserError: rows that do not exist, or not one for each class; classes that are not there.
    """
    if rows is not None:
        if len(rows) != len(classes) or not all(0 <= row < count for row in rows):
            raise UserError(
                f"rows={rows} must hold one row in 0 .. {count - 1} for each of the {len(classes)} classes of the data"
            )
        return rows
    if names is None:
        names = dict(enumerate(wordnet.synsets())) if count == 1000 else {}
    return class_rows(classes, {int(row): str(name) for row, name in names.items()}, whose)
