"""Any number of runs and results side by side: what may be compared stands together, and what may not is kept apart."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gendistill.errors import UserError
from gendistill.evaluation.comparing.groups import Group, grouped, merged, same_sets, subject
from gendistill.evaluation.comparing.lasting import kept, recognised
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.comparing.results import is_run, read
from gendistill.evaluation.comparing.run_names import called_path, short_names
from gendistill.evaluation.comparing.words import differing, several, spell_size
from gendistill.evaluation.tables import MARK, aligned, indices_notes, spell_figure, under_stress
from gendistill.formatting import spell_bytes, spell_labels, spell_score, spell_set
from gendistill.provenance import NO_LEAKAGE_STATEMENT

log = logging.getLogger("gendistill")


@dataclass(frozen=True)
class Comparison:
    """Results of any number of runs. Prints as aligned tables, and the paired differences below them."""

    results: tuple[Result, ...]

    @property
    def groups(self) -> list[Group]:
        """What may be compared, in the order it was given."""
        return grouped(self.results)

    def to_json(self) -> dict[str, Any]:
        """A file of results with all of them."""
        return {"rows": [one.to_json() for one in self.results]}

    def __repr__(self) -> str:
        told = [f"  {names}: {statement}" for names, statement in leakage(self.results)]
        parts = ["\n".join(lines(group)) for group in self.groups]
        return "\n\n".join([*parts, "\n".join(["Leakage:", *told])])


def compare(given: Sequence[str | Path], *, into: Path | None = None) -> Comparison:
    """Put runs, and files and folders of results, side by side.

    NAME=PATH calls a run by another name than its folder's; runs of one name are one set at several sizes, or the same pictures
    with several labels.

    Args:
        given: what is compared.
        into: the folder that is to be written. What its results.json holds, and nothing given does, would be lost. Where the folder
            is given, too, its results give way to those that others state anew. Runs are known by what was measured, not by name.

    Raises:
        UserError: one of them has no results, nothing of them may be compared, or results would be lost.
    """
    if not given:
        raise UserError("there is nothing to compare: give runs, or files of results")
    called = [called_path(one) for one in given]
    paths = [path for _, path in called]
    names = [name or last for (name, _), last in zip(called, short_names(paths), strict=True)]
    found = [read(path, name) for path, name in zip(paths, names, strict=True)]
    found = [
        [replace(row, run=name) for row in rows] if name else rows
        for (name, _), rows in zip(called, found, strict=True)
    ]
    found = recognised(found, [bool(name) or is_run(path) for name, path in called])
    if into is not None:
        found = kept(found, paths, into)
    check_sets(paths, names, found)
    check_common(found, names)
    results = merged([one for each in found for one in each])
    check_names(results)
    return Comparison(results)


def lines(group: Group) -> Iterator[str]:
    """A group for a terminal."""
    yield group.title
    yield aligned(table(group))
    yield from group.notes
    if harmed := under_stress(by_name(group)):
        yield "Under stress:"
        yield aligned(harmed)
        yield from indices_notes(harmed)
    pairs = [*group.pairs, *group.label_pairs]
    if pairs:
        yield f"Differences over shared seeds, in percentage points{several(len(pairs))}:"
    for pair in pairs:
        yield f"  {pair.ours} − {pair.theirs}, {pair.what}: {pair.difference}"


def table(group: Group) -> list[list[str]]:
    """Cells of a group with a header, by bytes and then by accuracy."""
    ranked = any(one.lrs is not None or one.ars is not None for one in group.results)
    marked = any(one.published for one in group.results)
    calibrated = any(one.calibration_error is not None for one in group.results)
    head = ["set", "IPC", "labels", "accuracy in %, mean ± std (n)", "bytes", "epochs"]
    body = [
        [
            name,
            "all" if one.ipc is None else str(one.ipc),
            one.labelled,
            f"{one.marked} ({one.n})",
            "not stated" if one.bytes is None else spell_bytes(one.bytes),
            "" if one.epochs is None else str(one.epochs),
            *([spell_figure(one.calibration_error)] if calibrated else []),
            *([spell_score(one.lrs, one.lrs_std), spell_score(one.ars, one.ars_std)] if ranked else []),
            *(["published" if one.published else ""] if marked else []),
        ]
        for name, one in in_order(group)
    ]
    more = ["calibration error"] if calibrated else []
    return [[*head, *more, *(["LRS", "ARS"] if ranked else []), *([""] if marked else [])], *body]


def in_order(group: Group) -> list[tuple[str, Result]]:
    """Results with their names: those of fewer bytes first, and the more accurate of equal ones."""
    return sorted(
        zip(group.names, group.results, strict=True),
        key=lambda item: (item[1].bytes is None, item[1].bytes or 0, -item[1].mean),
    )


def leakage(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Who may have seen the test pictures, by run; runs that say the same together."""
    said: dict[str, dict[str, None]] = {}
    for one in results:
        whose = one.run or spell_set(one.set)
        if one.leakage or not any(other.leakage and other.run == one.run for other in results):
            said.setdefault(one.leakage or NO_LEAKAGE_STATEMENT, {})[whose] = None
    return [(", ".join(names), statement) for statement, names in said.items()]


def by_name(group: Group) -> list[tuple[str, Result]]:
    """Results by their names, and by IPC where that is needed to tell them apart."""
    sizes = len({one.ipc for one in group.results if not one.whole}) > 1
    return [
        (f"{MARK * one.elsewhere}{name}" + (f", {spell_size(one)}" if sizes and not one.whole else ""), one)
        for name, one in in_order(group)
    ]


def check_common(found: Sequence[Sequence[Result]], names: Sequence[str]) -> None:
    """Refuse runs of which no two may be compared, and name those that stand alone."""
    home = {id(one): place for place, results in enumerate(found) for one in results}
    groups = grouped([one for results in found for one in results])
    company = [{home[id(one)] for one in group.results if not one.whole} for group in groups]
    alone = [place for place in range(len(found)) if not any(place in those and len(those) > 1 for those in company)]
    if len(found) > 1 and len(alone) == len(found):
        told = "\n".join(
            f"  {name}: {spell_claims(results, groups)}" for name, results in zip(names, found, strict=True)
        )
        raise UserError(
            f"no two of these share data, split, student, protocol and training, so nothing may be compared:\n{told}\n"
            "measure the sets by one protocol: `gendistill evaluate PATH --protocol NAME`"
        )
    for place in alone if len(found) > 1 else ():
        log.warning("%s stands alone: nothing else is of %s", names[place], spell_claims(found[place], groups))


def check_sets(paths: Sequence[Path], names: Sequence[str], found: Sequence[Sequence[Result]]) -> None:
    """Refuse two runs of one name with results at one IPC, unless they are known to have the same pictures, labelled otherwise."""
    seen: dict[tuple[str, int | None], tuple[Path, Result]] = {}
    runs = [item for item in zip(paths, names, found, strict=True) if is_run(item[0])]
    for path, name, one in [(path, name, one) for path, name, results in runs for one in results if not one.baseline]:
        first, before = seen.setdefault((name, one.ipc), (path, one))
        if first is not path and not same_sets(before, one):
            raise UserError(
                f"{first} and {path} are two sets with {spell_size(one)}, and both are called {name}: call one of the runs "
                "otherwise, NAME=PATH"
            )


def check_names(results: Sequence[Result]) -> None:
    """Refuse two results of one set with one kind of labels that were measured alike: nobody could tell them apart."""
    seen: dict[tuple[object, ...], Result] = {}
    for one in results:
        if one.run and not one.published and not one.baseline and seen.setdefault(subject(one), one) is not one:
            raise UserError(
                f"two results with {spell_labels(one.labels, one.labeler)} and {spell_size(one)} are called "
                f"{' · '.join(dict.fromkeys((one.run, one.name)))}: call one of the runs otherwise, NAME=PATH, or let one of the "
                'rows name another "set"'
            )


def spell_claims(results: Sequence[Result], groups: Sequence[Group]) -> str:
    """The data, students and protocols of some results, in words, and how they learned where that is what keeps them apart."""
    mine = {id(one) for one in results}
    return "; ".join(
        dict.fromkeys(
            f"{group.title} · {differing(group.training, group.others)}" if group.others else group.title
            for group in groups
            if mine & {id(one) for one in group.results if not one.whole}
        )
    )
