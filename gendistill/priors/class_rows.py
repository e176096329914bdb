"""Which label row of a checkpoint stands for which class of the data: by name and WordNet id, never by position."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from gendistill.types import Class, UserError


def words(text: str) -> set[str]:
    """The names in a label, which may list several with commas, in lower case."""
    return {word.strip().replace("_", " ").lower() for word in str(text).split(",")} - {""}


def class_rows(classes: Sequence[Class], names: Mapping[int, str], whose: str) -> tuple[int, ...]:
    """The row of every class in a checkpoint that calls its rows ``names``.

    A WordNet id decides where the checkpoint's rows are ImageNet's; elsewhere the name must match one row, and only one.

    Raises:
        UserError: a class is missing or ambiguous, or the checkpoint has no names at all.
    """
    if not names:
        raise UserError(
            f"{whose} does not name its classes; say which row stands for which: rows=(...), one row for each of "
            + ", ".join(c.name for c in classes)
        )
    rows = [_row(c, names, whose) for c in classes]
    twice = {row for row in rows if rows.count(row) > 1}
    if twice:
        clash = ", ".join(f"{c.name} -> {row}" for c, row in zip(classes, rows, strict=True) if row in twice)
        raise UserError(f"several classes of the data fall on one row of {whose}: {clash}; say which with rows=(...)")
    return tuple(rows)


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
        names = _imagenet_names() if count == 1000 else {}
    return class_rows(classes, {int(row): name for row, name in names.items()}, whose)


def _imagenet_names() -> Mapping[int | str, str]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return {row: info.label_name_to_description(name) for row, name in enumerate(info.label_names())}


def _row(wanted: Class, names: Mapping[int, str], whose: str) -> int:
    by_id = _imagenet_row(wanted, names)
    if by_id is not None:
        return by_id
    exact = [row for row, name in names.items() if str(name).strip().lower() == wanted.name.strip().lower()]
    found = exact or [row for row, name in names.items() if words(wanted.name) & words(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"class {wanted} fits several rows of {whose}: "
            + ", ".join(f"{row} ({names[row]})" for row in found)
            + "; say which with rows=(...)"
        )
    near = difflib.get_close_matches(
        wanted.name.lower(), [word for name in names.values() for word in words(name)], n=3, cutoff=0.5
    )
    hint = f"; nearest there: {', '.join(near)}" if near else f"; it knows {', '.join(list(names.values())[:8])} ..."
    raise UserError(
        f"{whose} does not know class {wanted}{hint}. Use a prior trained on these classes, or say rows=(...)"
    )


def _imagenet_row(wanted: Class, names: Mapping[int, str]) -> int | None:
    if wanted.wnid is None:
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    synsets = info.label_names()
    if wanted.wnid not in synsets:
        return None
    row = synsets.index(wanted.wnid)
    described = words(info.label_name_to_description(wanted.wnid)) | words(wanted.name)
    return row if row in names and words(names[row]) & described else None
