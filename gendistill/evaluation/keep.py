"""What an evaluation found, put where a run's own numbers are: metrics.json, and report.html made anew of all of them."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.page import page
from gendistill.evaluation.report import Likeness, Report, Row
from gendistill.evaluation.sets.made_from import MadeFrom, made_from
from gendistill.formatting import spell_data
from gendistill.provenance import Provenance
from gendistill.system.locks import alone
from gendistill.system.store import read_json, write_json
from gendistill.types import UserError

log = logging.getLogger("gendistill")


def keep(report: Report, distilled: Distilled, folder: Path, data: str = "") -> Report:
    """Add to the numbers of the run in a folder, whose first set is given; ``data`` is what `kept_as` says."""
    about, recipe = read_json(folder / "run.json"), folder / "recipe.py"
    with alone(folder, wait=True):  # two evaluations may end together
        found = replace(merged(numbers(folder), report), data=data)
        write_json(folder / "metrics.json", found.to_json())
        page(
            distilled,
            found,
            path=folder / "report.html",
            command=about.get("command", ""),
            recipe_text=recipe.read_text() if recipe.is_file() else "",
            byte_sizes=distilled.sizes,
            provenance=Provenance(**{**distilled.origin, **about.get("provenance", {})}),
            versions=about.get("versions"),
        )
    return found


def numbers(folder: Path) -> Report:
    """What a run has in its metrics.json; nothing where it has none.

    Raises:
        UserError: that is damaged.
    """
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        return Report([])
    said = read_json(metrics)
    if not isinstance(said, dict) or not isinstance(said.get("rows"), list):
        raise UserError(f"{metrics} is damaged, it has no rows: put back a copy, or remove it")
    return Report.from_json(said)


def kept_as(made: Distilled, folder: Path, context: Context) -> str | None:
    """What numbers on the real data at hand say of these in the run of a folder, "" where that was made from them.

    A run that was made from no picture, or from nobody knows which, is judged by the first data that it is judged by. None where
    such numbers do not belong there, nothing can be written there, or the folder is no run.

    Raises:
        UserError: a file of the run is damaged, into which they would go.
    """
    if not (folder / "run.json").is_file():
        return None
    read_json(folder / "run.json")
    before, data = numbers(folder), context.real
    if not os.access(folder, os.W_OK):
        log.warning("numbers are not added to %s, where nothing can be written: --to FILE keeps them", folder)
        return None
    found, words = made_from(made, context), spell_data(data.name, len(data.train.classes), data.train.shape)
    if found is MadeFrom.THESE:
        return ""
    if found is not MadeFrom.OTHERS and (not before.rows or before.data == words):
        return words
    own = made.origin.get("real", {}).get("name") if found is MadeFrom.OTHERS else before.data
    what = "was made from" if found is MadeFrom.OTHERS else "is judged by"
    log.warning(
        "numbers on %s are not added to %s, which %s %s: --to FILE keeps them", data.name, folder, what, own or "others"
    )
    return None


def merged(before: Report, after: Report) -> Report:
    """All rows of both, each once: of two of one key that of more seeds, and the later of equal ones.

    What a student was put through before stays with its accuracies where they are the same.
    """
    rows: dict[tuple[object, ...], Row] = {}
    for row in (*before.rows, *after.rows):
        known = rows.get(key(row))
        if known is not None and known.n > row.n:
            lost = (
                " (what its students were put through now is not: ask for as many)"
                if row.attacked or row.corrupted
                else ""
            )
            log.warning(
                "%s, %s: what was measured before is kept, for it is over %d seeds%s",
                row.set,
                row.labelled,
                known.n,
                lost,
            )
        else:
            rows[key(row)] = row if known is None else endured(row, known)
    seen = {among(one) for one in after.likeness}
    return replace(
        after,
        rows=list(rows.values()),
        seconds={**before.seconds, **after.seconds},
        notes=tuple(dict.fromkeys((*before.notes, *after.notes))),
        likeness=(*(one for one in before.likeness if among(one) not in seen), *after.likeness),
    )


def key(row: Row) -> tuple[object, ...]:
    """What a row is of."""
    return row.set, row.labels, row.labeler, row.student, row.protocol, row.training, row.ipc, row.split, row.held_out


def among(one: Likeness) -> tuple[object, ...]:
    """What was compared how."""
    return one.set, one.ipc, one.features, one.k, one.real


def endured(row: Row, before: Row) -> Row:
    """A row with what only its twin was put through."""
    told = {name: getattr(before, name) for name in ("attacked", "corrupted") if not getattr(row, name)}
    if "attacked" in told or (row.attacked == before.attacked and not row.attack_seconds):
        told["attack_seconds"] = before.attack_seconds
    return replace(row, **told) if row.scores == before.scores else row
