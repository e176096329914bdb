"""What was measured, read from runs and from files of results that others can add to.

A file of results is JSON. The simplest is {"rows": [row, ...]}; anything that all rows share may stand beside "rows" instead:

    {"by": "Doe et al.", "data": "CIFAR-10, 10 classes, 32 × 32 RGB", "leakage": "The teacher saw the training pictures only.",
     "rows": [{"set": "our method", "labels": "soft", "student": "ConvNet-3/32", "protocol": "screening", "split": "test",
               "ipc": 10, "bytes": 323000, "mean": 45.1, "std": 0.5, "n": 3, "scores": [44.6, 45.1, 45.6], "seeds": [0, 1, 2]}]}

A row needs set, labels, student, protocol, mean and n. `Result` says what each entry means; whatever else stands in a row is kept.
Accuracies are in percent. Differences are taken over the seeds that two rows state, 0, 1, 2 ... where `gendistill` measured them.
What `gendistill compare --to DIR` writes, DIR/results.json, is such a file: add rows to it, and give DIR among the runs to compare
it with others. `--to DIR` without it is refused where rows would be lost.

A run is but a name: what `gendistill` measured says beside it which sets it was, "fingerprints", a hash of the pictures and classes
of each. Two sets of one name are told apart by it, and `gendistill evaluate PATH --to FILE` goes over no results but those of PATH.

Numbers of a publication are welcome where they say so: "published": true, and by which rule they were reported, "rule": "best of
100 tests, 3 seeds". They are shown marked, and nothing is computed from them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendistill.errors import UserError
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.report import Report
from gendistill.formatting import SET_NAMES, spell_data

if TYPE_CHECKING:  # these import torch, which reading results needs for nothing
    from gendistill.distilled import Distilled
    from gendistill.types import RealData

FORMAT = (
    'a file of results is JSON such as {"rows": [{"set": "ours", "labels": "hard", "student": "ConvNet-3/128", ...}]}'
)
SHARED = frozenset(
    (
        *("run", "fingerprints", "data", "split", "protocol", "training"),
        *("published", "rule", "source", "leakage", "by", "date"),
    )
)
"""Entries that may stand beside the rows, for all of them."""


def of_report(report: Report, run: str, real: RealData, leakage: str = "") -> dict[str, Any]:
    """A file of results with the rows of a report; ``run`` is what the set is called, ``leakage`` what is known of who saw what."""
    said = {"leakage": leakage} if leakage else {}
    told = report.to_json()
    told["rows"] = [{**one, "seeds": list(range(one["n"]))} for one in told["rows"]]
    return {"run": run, **said, "data": spell_data(real.name, len(real.classes), real.train.shape), **told}


def read(path: Path, run: str) -> list[Result]:
    """The results of a run, or of a file or folder of results; ``run`` is what rows are called that do not say it themselves.

    Raises:
        UserError: there are none, or they are no results.
    """
    if is_run(path):
        return of_run(path.parent if path.name == "metrics.json" else path, run)
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        there = "holds no run and no results.json" if path.is_dir() else "is not there"
        raise UserError(
            f"{path} {there}: give runs, or files of results; `gendistill evaluate {path} --real SOURCE` measures a set of others"
        )
    return rows(load(file), file, {"run": run})


def read_before(file: Path, run: str) -> list[Result]:
    """The results of a file that is to be written; none where it is not there, or has none yet.

    Raises:
        UserError: it is something else, which nobody wants to lose.
    """
    if not os.path.lexists(file):
        return []
    try:
        told = load(file)
        return [] if told.get("rows") == [] else rows(told, file, {"run": run})
    except UserError as error:
        raise UserError(f"{file} is there and no file of results, so it is not overwritten: {error}") from error


def check_own(file: Path, run: str, ranked: bool) -> None:
    """Refuse to write results of a set, or its ranking, over anything but those of one that is called so.

    Raises:
        UserError: the file holds something else, or is a run's own.
    """
    if is_run(file):
        raise UserError(f"{file} is a run's own, which has the new numbers anyway: write into another file")
    found = read_before(file, run)
    strange = [
        one.name for one in found if one.run != run or one.set not in SET_NAMES or (one.lrs is not None) != ranked
    ]
    if strange:
        raise UserError(
            f"{file} would lose other results, {', '.join(dict.fromkeys(strange))}: write into another file; `gendistill compare` "
            "takes any number"
        )


def check_same(file: Path, run: str, made: Sequence[Distilled], real: RealData) -> None:
    """Refuse to write results of these sets over those of others that are called so, too. It needs no student.

    Raises:
        UserError: the file is of others, or does not say of which it is, and something that it says is not so of these.
    """
    strange = dict.fromkeys(filter(None, (contradiction(one, made, real) for one in read_before(file, run))))
    if strange:
        raise UserError(
            f"{file} would lose the results of another set that is called {run}, too ({'; '.join(strange)}): write into another "
            "file, or remove that one; `gendistill compare` takes any number"
        )


def contradiction(one: Result, made: Sequence[Distilled], real: RealData) -> str:
    """What says that a result is of other sets than these, in words; "" where nothing does."""
    if one.fingerprints:
        return "" if sorted(one.fingerprints) == fingerprints_of(made) else "its pictures or classes are others"
    first = made[0]
    known: dict[str, object] = {
        "data": spell_data(real.name, len(real.classes), real.train.shape),
        "split": real.split,
    }
    if not one.baseline:
        known |= {"ipc": first.ipc, "sets": len(made)}
        if not one.labeler:  # hard labels, or those of the set
            hard = one.labels == "hard"
            known["labels"] = "hard" if hard else first.soft.kind
            known["bytes"] = sum(first.sizes.values()) - hard * first.label_sizes["soft labels"]
    wrong = [name for name, value in known.items() if getattr(one, name) not in ("", None, value)]
    return ", ".join(f"{name} {getattr(one, name)}, not {known[name]}" for name in wrong)


def fingerprints_of(made: Sequence[Distilled]) -> list[str]:
    """What sets are known by, whatever they are called: a hash of the pictures and classes of each."""
    return sorted({one.images.fingerprint for one in made})


def is_run(path: Path) -> bool:
    """Whether it is a run, or the metrics.json of one."""
    return ((path.parent if path.name == "metrics.json" else path) / "run.json").is_file()


def of_run(folder: Path, run: str) -> list[Result]:
    """The accuracies of a run, with what its other files say of them."""
    metrics, about = folder / "metrics.json", load(folder / "run.json")
    if not metrics.is_file():
        how = "" if (folder / "relabel.json").is_file() else ", or go on with `gendistill run ... --resume`"
        raise UserError(f"the run in {folder} is not evaluated yet: `gendistill evaluate {folder}` does it{how}")
    provenance = about.get("provenance") or {}
    sets = {file.parent: load(file) for file in sorted(folder.glob("sets/seed-*/set.json"))}
    told = {
        "run": run,
        "fingerprints": stated_in(sets.values()),
        "data": data_of(sets, provenance.get("real", {}).get("name", "")),
        "leakage": provenance.get("leakage", ""),
    }
    # Students of a run are counted from 0.
    return [replace(one, seeds=tuple(range(len(one.scores)))) for one in rows(load(metrics), metrics, told)]


def rows(value: Mapping[str, Any], file: Path, told: Mapping[str, Any]) -> list[Result]:
    """The rows of a file. What a row does not say, the file says for all of them, or else ``told``."""
    given = value.get("rows")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise UserError(f'{file} has no list of "rows"; {FORMAT}')
    if not given:
        raise UserError(f"{file} holds no accuracy: `gendistill evaluate {file.parent} --real SOURCE` measures some")
    shared = {**told, **{name: entry for name, entry in value.items() if name in SHARED}}
    notes = value.get("notes")
    said = map(str, notes) if isinstance(notes, list) else ()
    shared["leakage"] = " ".join(filter(None, (shared.get("leakage"), *said)))
    return [Result.from_json({**shared, **one}, f"row {number} of {file}") for number, one in enumerate(given, 1)]


def load(file: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no JSON, or no text at all
        raise UserError(f"{file} is no JSON ({error}); {FORMAT}") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} holds no JSON object; {FORMAT}")
    return found


def stated_in(sets: Iterable[Mapping[str, Any]]) -> list[str]:
    """The fingerprints of sets, by what is written of them; none where one does not say it, or is a generator."""
    said = {"" if about.get("draws", 1) > 1 else about.get("soft", {}).get("set", "") for about in sets}
    return [] if "" in said else sorted(said)


def data_of(sets: Mapping[Path, Mapping[str, Any]], name: str) -> str:
    """The real data of a run in words: their name, and the classes and the shape of the pictures of its sets, by their folders."""
    from safetensors import safe_open

    for folder, about in sets.items():
        for shard in about["shards"]:
            with safe_open(folder / "shards" / shard, framework="np") as file:
                _, channels, height, width = file.get_slice("stored").get_shape()
            return spell_data(name, len(about["classes"]), (channels, height, width))
    return name
