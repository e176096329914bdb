"""A comparison as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendistill.evaluation.comparing.charts import (
    Bar,
    Mark,
    cloud,
    intervals,
    is_drawn,
    key,
    signed,
    within_sight,
)
from gendistill.evaluation.comparing.compare import Comparison, by_name, in_order, leakage
from gendistill.evaluation.comparing.groups import Group, Pair
from gendistill.evaluation.comparing.result import LABELS, LAST_EPOCH, Result
from gendistill.evaluation.comparing.words import differing, several
from gendistill.evaluation.tables import CALIBRATION, MARK, ONE_SET, spell_figure, stressed
from gendistill.formatting import plural, spell_bytes, spell_labels, spell_score, spell_set, template

SHOWN_CLASSES, SHOWN_COLUMNS, SHOWN_PAIRS = 30, 9, 24
NEUTRAL = 26.9
"""LRS and ARS, times 100, of a set that is as good as random pictures."""


def write(comparison: Comparison, folder: Path) -> Path:
    """Write compare.html, and results.json that others can add to, whole or not at all; return the page's path."""
    from gendistill.system.store import (  # imports torch, which a comparison needs for nothing else
        write_json,
        write_text,
    )

    write_json(folder / "results.json", comparison.to_json())
    write_text(folder / "compare.html", page(comparison))
    return folder / "compare.html"


def page(comparison: Comparison) -> str:
    """The text of the page."""
    groups, results = comparison.groups, comparison.results
    runs = list(dict.fromkeys(one.run for one in results if one.run))
    students = list(dict.fromkeys(one.student for one in results))
    return template("compare.html.jinja").render(
        title=heading(runs),
        size=f"{plural(len(results), 'result')}, {plural(len(students), 'student')}",
        groups=[of_group(group) for group in groups],
        students=[found for found in (by_student(groups, what) for what in protocols(groups)) if found],
        ranked=ranked(groups),
        leakage=leakage(results),
        calibration=CALIBRATION,
        kinds=[(kind, key(kind), spell_labels(kind)) for kind in LABELS],
    )


def heading(runs: Sequence[str]) -> str:
    """What is compared, in words."""
    if len(runs) == 1:
        return f"{runs[0]} beside what it is compared with"
    return f"{', '.join(runs) if 0 < len(runs) <= 3 else plural(len(runs), 'run')} side by side"


@dataclass(frozen=True)
class Series:
    """A set in a group, by its number.

    name    what it is called
    number  1, 2, 3 ...; 0 for a baseline
    style   the class that says its colour
    """

    name: str
    number: int
    style: str


def marks_of(group: Group) -> list[Mark]:
    """Every result with its name and the number of its set."""
    numbers: dict[str, int] = {}
    found = []
    for name, one in zip(group.names, group.results, strict=True):
        number = 0 if one.baseline else numbers.setdefault(name, len(numbers) + 1)
        found.append(Mark(one, name, number))
    return found


def of_group(group: Group) -> dict[str, Any]:
    """What the page shows of a group."""
    marks = marks_of(group)
    drawn = [mark for mark in marks if is_drawn(mark.result)]
    named = [mark.name if mark.number else spell_set(mark.result.set) for mark in drawn]
    series = list(dict.fromkeys(Series(name, one.number, one.style) for name, one in zip(named, drawn, strict=True)))
    by_mark = {(mark.name, id(mark.result)): mark for mark in marks}
    return {
        "title": f"{group.data or 'Data not stated'}",
        "details": f"{group.student} · {group.protocol} · {group.split} pictures",
        "trainings": group.trainings,
        "notes": group.notes,
        "chart": cloud(marks) if drawn else "",
        "series": sorted(series, key=lambda one: (one.number == 0, one.number)),
        "kinds": [kind for kind in LABELS if any(mark.result.labels == kind for mark in drawn)],
        "hollow": any(mark.result.published for mark in drawn),
        "unseen": unseen(marks, drawn),
        "rows": [row(by_mark[name, id(one)]) for name, one in in_order(group)],
        "calibrated": any(one.calibration_error is not None for one in group.results),
        "stressed": [(title.capitalize(), cells, notes) for title, cells, notes in stressed(by_name(group))],
        "scored": any(one.lrs is not None or one.ars is not None for one in group.results),
        "marked": any(one.published or one.rule != LAST_EPOCH for one in group.results),
        "pairs": [
            {
                "title": title,
                "chart": pair_chart(pairs, title),
                "left": max(len(pairs) - SHOWN_PAIRS, 0),
                "note": several(len(pairs)),
                "alone": ONE_SET if any(pair.difference.sets == 1 for pair in pairs) else "",
            }
            for title, pairs in (("Set against set", group.pairs), ("Labels against hard labels", group.label_pairs))
            if pairs
        ],
        "classes": by_class(group),
    }


def row(mark: Mark) -> dict[str, Any]:
    """A line of the table."""
    one = mark.result
    return {
        "number": mark.number or "",
        "style": mark.style,
        "name": mark.name,
        "own": not one.baseline,
        "ipc": "all" if one.ipc is None else str(one.ipc),
        "labels": one.labels,
        "labeler": one.labeler,
        "mean": one.marked,
        "n": str(one.n),
        "bytes": "not stated" if one.bytes is None else spell_bytes(one.bytes),
        "epochs": "" if one.epochs is None else f"{one.epochs:,}",
        "calibration": spell_figure(one.calibration_error),
        "lrs": spell_score(one.lrs, one.lrs_std),
        "ars": spell_score(one.ars, one.ars_std),
        "rule": f"published: {one.rule}" if one.published else "" if one.rule == LAST_EPOCH else one.rule,
        "source": one.source,
    }


def unseen(marks: Sequence[Mark], drawn: Sequence[Mark]) -> list[str]:
    """What the chart does not show, in words."""
    unknown = list(dict.fromkeys(mark.name for mark in marks if mark.result.bytes is None))
    found = [f"Not drawn, as their bytes are not stated: {', '.join(unknown)}."] if unknown else []
    if drawn:
        low = min(mark.result.mean - mark.result.std for mark in drawn)
        high = max(mark.result.mean + mark.result.std for mark in drawn)
        for mark in marks:
            one = mark.result
            if one.whole and not within_sight(one, low, high):
                size = "" if one.bytes is None else f", {spell_bytes(one.bytes)}"
                labels = "" if one.labels == "hard" else f" with {spell_labels(one.labels, one.labeler)}"
                found.append(f"Outside the chart: {mark.name}{labels}, {one.mean:.1f} %{size}.")
    return found


def pair_chart(pairs: Sequence[Pair], title: str) -> Any:
    """Differences with their intervals, the largest differences first where not all of them are shown."""
    shown = list(pairs)
    if len(shown) > SHOWN_PAIRS:
        shown = sorted(shown, key=lambda pair: -abs(pair.difference.mean))[:SHOWN_PAIRS]
    bars = [
        Bar(
            f"{pair.ours} − {pair.theirs}",
            pair.what + (", one set" if found.sets == 1 else "") + ("" if found.std else ", the same each time"),
            found.mean,
            found.t.low,
            found.t.high,
            f"{signed(found.mean)} [{signed(found.t.low)}, {signed(found.t.high)}] n = {found.n}",
            (found.bootstrap.low, found.bootstrap.high),
        )
        for pair in shown
        for found in (pair.difference,)
    ]
    return intervals(bars, 0.0, "percentage points", title)


def protocols(groups: Sequence[Group]) -> list[tuple[str, str, str]]:
    """The data, splits and protocols there are."""
    return list(dict.fromkeys((group.data, group.split, group.protocol) for group in groups))


def by_student(groups: Sequence[Group], what: tuple[str, str, str]) -> dict[str, Any] | None:
    """The same sets under every student: sets in lines, students in columns. None where no set has two."""
    mine = [
        group for group in groups if (group.data, group.split, group.protocol) == what and not is_mean(group.student)
    ]
    found: dict[tuple[str, str, int | None], dict[int, Result]] = {}
    for column, group in enumerate(mine):
        for name, one in zip(group.names, group.results, strict=True):
            if not one.published:
                found.setdefault((name, one.labelled, one.ipc), {})[column] = one
    shared = [item for item in found.items() if len({one.student for one in item[1].values()}) > 1]
    if not shared:
        return None
    shared.sort(key=lambda item: (item[0][2] is None, item[0][2] or 0, -mean(item[1])))
    lines = [
        {
            "name": name,
            "own": not next(iter(those.values())).baseline,
            "labels": labels,
            "ipc": "all" if ipc is None else str(ipc),
            "cells": [cell(those.get(column)) for column in range(len(mine))],
            "mean": f"{mean(those):.1f}",
            "worst": f"{min(one.mean for one in those.values()):.1f}",
        }
        for (name, labels, ipc), those in shared
    ]
    columns = [(group.student, differing(group.training, group.others) if group.others else "") for group in mine]
    return {"title": " · ".join(filter(None, what)), "columns": columns, "rows": lines}


def is_mean(student: str) -> bool:
    """Whether it is no student, but the mean over several, which has a group of its own."""
    return student.startswith("mean of ")


def mean(those: Mapping[int, Result]) -> float:
    """Mean accuracy over students."""
    return statistics.fmean(one.mean for one in those.values())


def cell(one: Result | None) -> str:
    """An accuracy with its deviation."""
    return "" if one is None else one.marked


def by_class(group: Group) -> dict[str, Any] | None:
    """Accuracy by class of all results that know it; the classes that differ most where there are many. None where nothing does."""
    known = [(name, one) for name, one in in_order(group) if one.per_class]
    if not known:
        return None
    columns = sorted(known, key=lambda item: item[1].baseline)[:SHOWN_COLUMNS]
    names = list(dict.fromkeys(name for _, one in columns for name in one.per_class))

    def width(name: str) -> float:
        found = [one.per_class[name] for _, one in columns if name in one.per_class]
        return max(found) - min(found)

    shown = sorted(names, key=lambda name: -width(name))[:SHOWN_CLASSES] if len(names) > SHOWN_CLASSES else names
    return {
        "columns": [
            {
                "name": f"{MARK * one.elsewhere}{name}",
                "what": f"{one.labelled}, {'all' if one.ipc is None else f'IPC {one.ipc}'}",
            }
            for name, one in columns
        ],
        "rows": [(name, [one.per_class.get(name) for _, one in columns]) for name in shown],
        "left": len(names) - len(shown),
        "hidden": len(known) - len(columns),
    }


def ranked(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """LRS and ARS of all results that know them."""
    found = []
    for name, attribute in (("Label-robust score, LRS", "lrs"), ("Augmentation-robust score, ARS", "ars")):
        bars = []
        for group in groups:
            for title, one in in_order(group):
                value, std = getattr(one, attribute), getattr(one, f"{attribute}_std") or 0.0
                if value is not None:
                    ipc = "" if one.ipc is None else f", IPC {one.ipc}"
                    ends = max(100 * (value - std), 0), min(100 * (value + std), 100)
                    rest = f"{spell_labels(one.labels, one.labeler)}{ipc}, {group.student}"
                    bars.append(Bar(title, rest, 100 * value, *ends, f"{spell_score(value, std)} n = {one.n}"))
        if bars:
            found.append({"title": name, "chart": intervals(bars, NEUTRAL, f"{NEUTRAL} is neutral", name)})
    return found
