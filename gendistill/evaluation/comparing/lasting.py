"""Which results are the same under another name, and what a folder that is written anew would lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gendistill.errors import UserError
from gendistill.evaluation.comparing.groups import measured, merged, same_sets, subject
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.comparing.results import is_run, read_before
from gendistill.evaluation.comparing.words import spell_size
from gendistill.formatting import spell_labels


def kept(found: Sequence[list[Result]], paths: Sequence[Path], into: Path) -> list[list[Result]]:
    """The results, those of the file that will be written less what the others state anew; refuse to lose any others."""
    file = into / "results.json"
    own = [not is_run(path) and path.resolve() in (into.resolve(), file.resolve()) for path in paths]
    others = [one for mine, rows in zip(own, found, strict=True) for one in rows if not mine]
    if any(own):
        return [
            outlasting(called_alike(rows, others), others) if mine else rows
            for mine, rows in zip(own, found, strict=True)
        ]
    before = called_alike(read_before(file, into.resolve().name), others)
    lost = [one for one in outlasting(before, others) if merged([*others, one]) != merged(others)]
    if lost:
        told = dict.fromkeys(f"{one.name} ({spell_labels(one.labels, one.labeler)}, {spell_size(one)})" for one in lost)
        raise UserError(
            f"{file} would lose what is in nothing that is compared here: {', '.join(told)}\n"
            f"give {into}, too, which keeps it; write into another folder; or remove that file"
        )
    return list(found)


def outlasting(rows: Sequence[Result], others: Sequence[Result]) -> list[Result]:
    """The rows, less those of which others state other numbers: of the same sets, or, where nobody says which, of the same name."""
    anew: dict[tuple[object, ...], list[Result]] = {}
    for other in others:
        if not other.published:
            anew.setdefault(subject(other), []).append(other)
    count = len(merged(others))

    def restated(one: Result) -> bool:
        return any(same_sets(one, other) is not False for other in anew.get(subject(one), ()))

    return [one for one in rows if not restated(one) or len(merged([*others, one])) == count]


def recognised(found: Sequence[list[Result]], named: Sequence[bool]) -> list[list[Result]]:
    """The results; what files say of a run that is compared, too, is said of it, whatever they call it.

    ``named`` tells which are called as they are: runs, and what the user named.
    """
    sure = [one for certain, rows in zip(named, found, strict=True) for one in rows if certain]
    return [rows if certain else called_alike(rows, sure) for certain, rows in zip(named, found, strict=True)]


def called_alike(rows: Sequence[Result], others: Sequence[Result]) -> list[Result]:
    """The rows, those that others state, too, under the name that others give the run.

    Names follow from what else is compared, so that a run has another one today than yesterday. It is known by what was measured:
    its sets where both say which, and the scores and bytes of its distilled pictures. Baselines are everybody's and take the name
    that these have.
    """
    known: dict[tuple[object, ...], list[Result]] = {}
    for other in others:
        if other.scores and other.bytes:
            known.setdefault(measured(other), []).append(other)
    twins = [
        [other.run for other in known.get(measured(one), ()) if same_sets(one, other) is not False] for one in rows
    ]
    sure = {(one.run, name) for one, names in zip(rows, twins, strict=True) for name in names if one.set == "distilled"}
    found = []
    for one, names in zip(rows, twins, strict=True):
        now = [name for name in names if (one.run, name) in sure]
        found.append(one if not now or one.run in now else replace(one, run=now[0]))
    return found
