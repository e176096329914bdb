"""What was measured, read from runs and from files of results that others can add to.

A file of results is JSON. The simplest is {"rows": [row, ...]}; anything that all rows share may stand beside "rows" instead:

    {"by": "Doe et al.", "data": "CIFAR-10, 10 classes, 32 × 32 RGB", "leakage": "The teacher saw the training pictures only.",
     "rows": [{"set": "our method", "labels": "soft", "student": "ConvNet-3/128", "protocol": "screening", "split": "test",
               "ipc": 10, "bytes": 323000, "mean": 45.1, "std": 0.5, "n": 3, "scores": [44.6, 45.1, 45.6], "seeds": [0, 1, 2]}]}

A row needs set, labels, student, protocol, mean and n. `Result` says what each entry means; whatever else stands in a row is kept.
What `gendistill compare --to DIR` writes, DIR/results.json, is such a file: add rows to it, and compare it with other runs again.

Numbers of a publication are welcome where they say so: "published": true, and by which rule they were reported, "rule": "best of
100 tests, 3 seeds". They are shown marked, and nothing is computed from them.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendistill.errors import UserError
from gendistill.evaluation.report import Report
from gendistill.formatting import SET_NAMES, spell_data, spell_set

if TYPE_CHECKING:
    from gendistill.types import RealData  # imports torch, which reading results needs for nothing

LAST_EPOCH = "last epoch"
BASELINES = frozenset(SET_NAMES) - {"distilled"}
ASKED = ("set", "labels", "student", "protocol", "mean", "n")
FORMAT = (
    'a file of results is JSON such as {"rows": [{"set": "ours", "labels": "hard", "student": "ConvNet-3/128", ...}]}'
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One accuracy, and everything that must be known to compare it.

    set        what was trained on: "distilled", "random_real", "full_real" ... or the name of a method
    labels     "hard", "soft", "views" or "online"
    student    the network that was trained, as it calls itself
    protocol   the name of the training protocol
    mean, std  accuracy in percent, over seeds
    n          number of those seeds; with n = 1 there is no deviation
    run        whose result it is: a run, or a file
    data       the real data: name, classes and size of the pictures; "" where it is not stated
    split      pictures the accuracy was measured on: "val" or "test"
    labeler    who labelled, in words; "" for hard labels and those that the set has of its own
    epochs     passes over the set
    ipc        pictures per class; None for a set that was taken whole
    bytes      what a user stores; None where it is not known
    distinct   different pictures a student saw, where a generator drew them
    scores     the accuracy of every seed
    seeds      their numbers; 0, 1, 2 ... where they are not stated, as `gendistill` counts
    training   how the student learned, as code; "" where only the protocol is named
    per_class  accuracy in percent by name of class
    lrs, ars   label-robust and augmentation-robust score, in [0, 1], and their deviations over seeds
    published  a number that a publication reports, measured by its authors
    rule       which of a student's accuracies is reported
    source     URL of the publication
    leakage    whether the prior or a teacher saw the test pictures
    more       entries this version does not know
    """

    set: str
    labels: str
    student: str
    protocol: str
    mean: float
    n: int
    std: float = 0.0
    run: str = ""
    data: str = ""
    split: str = "test"
    labeler: str = ""
    epochs: int | None = None
    ipc: int | None = None
    bytes: int | None = None
    distinct: int | None = None
    scores: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    training: str = ""
    per_class: Mapping[str, float] = field(default_factory=dict)
    lrs: float | None = None
    lrs_std: float | None = None
    ars: float | None = None
    ars_std: float | None = None
    published: bool = False
    rule: str = LAST_EPOCH
    source: str = ""
    leakage: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def baseline(self) -> bool:
        """Whether it is what sets are compared with."""
        return self.set in BASELINES

    @property
    def whole(self) -> bool:
        """Whether it is of all real pictures."""
        return self.baseline and self.ipc is None

    @property
    def labelled(self) -> str:
        """What the labels are: "soft", or "soft, 2 teachers, T 4"."""
        return ", ".join(filter(None, (self.labels, self.labeler)))

    @property
    def name(self) -> str:
        """What readers call it: the run for its own set, and the set else."""
        return self.run if self.set == "distilled" and self.run else spell_set(self.set)

    @property
    def by_seed(self) -> dict[int, float]:
        """Seed -> accuracy. Of published numbers none: nothing is computed from them."""
        return {} if self.published else dict(zip(self.seeds, self.scores, strict=True))

    def to_json(self) -> dict[str, Any]:
        """As a row of a file of results; what says nothing is left out."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "more"}
        empty: tuple[object, ...] = ("", (), {}, None)
        told = {name: value for name, value in known.items() if value not in empty and value is not False}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()} | {
            **self.more
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any], where: str) -> Result:
        """A row of a file of results; ``where`` it stands is named in errors.

        Raises:
            UserError: an entry is missing or impossible, or the entries contradict each other.
        """
        missing = [name for name in ASKED if row.get(name) in (None, "")]
        if missing:
            raise UserError(f"{where} does not say {', '.join(missing)}; a row needs {', '.join(ASKED)}")
        if row.get("published") and not row.get("rule"):
            raise UserError(
                f'{where} is published and does not say by which rule: add "rule", such as "best of 100 tests, 3 seeds"'
            )
        known = {name: checked(name, row[name], where) for name in KINDS if row.get(name) is not None}
        found = cls(**known, more={name: value for name, value in row.items() if name not in KINDS})
        consistent(found, where)
        return found if found.seeds else replace(found, seeds=tuple(range(len(found.scores))))


WORDS = (
    "set",
    "labels",
    "student",
    "protocol",
    "run",
    "data",
    "split",
    "labeler",
    "training",
    "rule",
    "source",
    "leakage",
)
KINDS: dict[str, str] = {
    **dict.fromkeys(WORDS, "text"),
    **dict.fromkeys(("mean", "std"), "a percentage, 0 to 100"),
    **dict.fromkeys(("lrs", "lrs_std", "ars", "ars_std"), "a number, 0 to 1"),
    **dict.fromkeys(("n", "epochs", "ipc", "bytes", "distinct"), "a whole number above 0"),
    "scores": "a list of percentages, 0 to 100",
    "seeds": "a list of whole numbers",
    "per_class": "percentages, 0 to 100, by name of class",
    "published": "true or false",
}  # fmt: skip
"""What every entry of a row must be, in the words of an error."""
SHARED = frozenset(
    ("run", "data", "split", "protocol", "training", "published", "rule", "source", "leakage", "by", "date")
)
"""Entries that may stand beside the rows, for all of them."""


def checked(name: str, value: Any, where: str) -> Any:
    """The value of an entry, if it is what that entry holds."""
    kind = KINDS[name]
    right = {
        "text": lambda: isinstance(value, str),
        "a percentage, 0 to 100": lambda: number(value, 100),
        "a number, 0 to 1": lambda: number(value, 1),
        "a whole number above 0": lambda: whole(value) and value > 0,
        "a list of percentages, 0 to 100": lambda: isinstance(value, list) and all(number(one, 100) for one in value),
        "a list of whole numbers": lambda: isinstance(value, list) and all(map(whole, value)),
        "percentages, 0 to 100, by name of class": lambda: (
            isinstance(value, dict) and all(number(one, 100) for one in value.values())
        ),
        "true or false": lambda: isinstance(value, bool),
    }[kind]
    if not right():
        raise UserError(f"{where} says {name} = {json.dumps(value)}; it must be {kind}")
    return tuple(value) if isinstance(value, list) else value


def number(value: Any, most: float) -> bool:
    """Whether it is a number in [0, most]; NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def whole(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def consistent(found: Result, where: str) -> None:
    """Refuse a row that contradicts itself."""
    if found.scores and len(found.scores) != found.n:
        raise UserError(f"{where} says n = {found.n} and gives {len(found.scores)} scores")
    if found.scores and not math.isclose(statistics.fmean(found.scores), found.mean, abs_tol=0.051):
        raise UserError(
            f"{where} says mean = {found.mean:g}, and its scores have {statistics.fmean(found.scores):g}: one of them is wrong"
        )
    if found.seeds and (len(found.seeds) != len(found.scores) or len({*found.seeds}) != len(found.seeds)):
        raise UserError(
            f"{where} gives {len(found.scores)} scores and seeds {list(found.seeds)}: one of its own for each"
        )


def of_report(report: Report, run: str, real: RealData) -> dict[str, Any]:
    """A file of results with the rows of a report; ``run`` is what the set is called."""
    return {"run": run, "data": spell_data(real.name, len(real.classes), real.train.shape), **report.to_json()}


def read(path: Path, run: str) -> list[Result]:
    """The results of a run, or of a file or folder of results; ``run`` is what rows are called that do not say it themselves.

    Raises:
        UserError: there are none, or they are no results.
    """
    if path.name == "metrics.json" and (path.parent / "run.json").is_file():
        path = path.parent
    if (path / "run.json").is_file():
        return of_run(path, run)
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        there = "holds no run and no results.json" if path.is_dir() else "is not there"
        raise UserError(
            f"{path} {there}: give runs, or files of results; `gendistill evaluate {path} --real SOURCE` measures a set of others"
        )
    return rows(load(file), file, {"run": run})


def of_run(folder: Path, run: str) -> list[Result]:
    """The accuracies of a run, with what its other files say of them."""
    metrics, about = folder / "metrics.json", load(folder / "run.json")
    if not metrics.is_file():
        raise UserError(f"the run in {folder} is not evaluated yet: go on with `gendistill run ... --resume`")
    provenance = about.get("provenance") or {}
    told = {
        "run": run,
        "data": data_of(folder, provenance.get("real", {}).get("name", "")),
        "leakage": provenance.get("leakage", ""),
    }
    return rows(load(metrics), metrics, told)


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


def data_of(folder: Path, name: str) -> str:
    """The real data of a run in words: their name, and the classes and the shape of its own pictures."""
    from safetensors import safe_open

    for told in sorted(folder.glob("sets/seed-*/set.json")):
        about = load(told)
        for shard in about["shards"]:
            with safe_open(told.parent / "shards" / shard, framework="np") as file:
                _, channels, height, width = file.get_slice("stored").get_shape()
            return spell_data(name, len(about["classes"]), (channels, height, width))
    return name
