"""One accuracy of any origin, and everything that must be known to compare it."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gendistill.errors import UserError
from gendistill.evaluation.tables import MARK
from gendistill.formatting import SET_NAMES, spell_set

LAST_EPOCH = "last epoch"
BASELINES = frozenset(SET_NAMES) - {"distilled"}
LABELS = ("hard", "soft", "views", "online")
ASKED = ("set", "labels", "student", "protocol", "mean", "n")


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
    fingerprints  of the sets of that run, by which it is known whatever it is called; none where they are not stated
    data       the real data: name, classes and size of the pictures; "" where it is not stated
    split      pictures the accuracy was measured on: "val" or "test"
    held_out   a hash of these, by which pictures of other data are known that are called alike; "" where it is not stated
    labeler    who labelled, in words; "" for hard labels and those that the set has of its own
    epochs     passes over the set
    ipc        pictures per class; None for a set that was taken whole
    bytes      what a user stores; None where it is not known
    distinct   different pictures a student saw, where a generator drew them
    scores     the accuracy of every seed
    seeds      their numbers, by which results are paired; none where they are not stated
    sets       independent sets they are over: score i is of set i modulo this number; None where it is not stated
    training   how the student learned, as code; "" where only the protocol is named
    per_class  accuracy in percent by name of class
    calibration_error  how far a student's probabilities are from its accuracy, in [0, 1]; None where it is not known
    attacked, corrupted  accuracy in percent by attack and by corruption; the first entry, "as they are", is of the same pictures
               without. Empty where nothing is known
    attack_seconds  that attacking and classifying them took, as ``attacked``
    elsewhere  a teacher was trained by others, on pictures that nobody states; such accuracies are marked
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
    fingerprints: tuple[str, ...] = ()
    data: str = ""
    split: str = "test"
    held_out: str = ""
    labeler: str = ""
    epochs: int | None = None
    ipc: int | None = None
    bytes: int | None = None
    distinct: int | None = None
    scores: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    sets: int | None = None
    training: str = ""
    per_class: Mapping[str, float] = field(default_factory=dict)
    calibration_error: float | None = None
    attacked: Mapping[str, float] = field(default_factory=dict)
    corrupted: Mapping[str, float] = field(default_factory=dict)
    attack_seconds: Mapping[str, float] = field(default_factory=dict)
    elsewhere: bool = False
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
    def accuracy(self) -> str:
        """Such as "45.1 ± 0.5"; without a deviation where there is none: of a single seed, and where it is not stated."""
        return f"{self.mean:.1f} ± {self.std:.1f}" if self.n > 1 and (self.std or self.scores) else f"{self.mean:.1f}"

    @property
    def marked(self) -> str:
        """Its accuracy, after a mark where that rests on teachers of others."""
        return f"{MARK * self.elsewhere}{self.accuracy}"

    @property
    def by_seed(self) -> dict[int, float]:
        """Seed -> accuracy; none where seeds are not stated, and of published numbers: nothing is computed from them."""
        return {} if self.published or not self.seeds else dict(zip(self.seeds, self.scores, strict=True))

    @property
    def set_by_seed(self) -> dict[int, int]:
        """Seed -> number of the set it is of; where sets are not stated, each its own."""
        return {seed: place % (self.sets or self.n) for place, seed in enumerate(self.seeds)}

    @property
    def alone(self) -> bool:
        """Whether its deviation is over students of a single set, so that it says nothing of another one."""
        return self.sets == 1 and self.n > 1 and not self.whole

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
        found = cls(
            **known,
            more={name: value for name, value in row.items() if name not in KINDS and value not in (None, {}, [])},
        )
        if "std" not in known and len(found.scores) > 1:
            found = replace(found, std=statistics.stdev(found.scores))
        consistent(found, where)
        return found


WORDS = (
    "set",
    "student",
    "protocol",
    "run",
    "data",
    "split",
    "held_out",
    "labeler",
    "training",
    "rule",
    "source",
    "leakage",
)
KINDS: dict[str, str] = {
    **dict.fromkeys(WORDS, "text"),
    "labels": " or ".join(LABELS),
    **dict.fromkeys(("mean", "std"), "a percentage, 0 to 100"),
    **dict.fromkeys(("calibration_error", "lrs", "lrs_std", "ars", "ars_std"), "a number, 0 to 1"),
    **dict.fromkeys(("n", "epochs", "ipc", "bytes", "distinct", "sets"), "a whole number, 1 to 10^18"),
    "scores": "a list of percentages, 0 to 100",
    "seeds": "a list of whole numbers",
    "fingerprints": "a list of texts",
    "per_class": "percentages, 0 to 100, by name of class",
    **dict.fromkeys(("attacked", "corrupted"), "percentages, 0 to 100, by name"),
    "attack_seconds": "seconds by name",
    **dict.fromkeys(("elsewhere", "published"), "true or false"),
}  # fmt: skip
"""What every entry of a row must be, in the words of an error."""


def checked(name: str, value: Any, where: str) -> Any:
    """The value of an entry, if it is what that entry holds."""
    kind = KINDS[name]
    right = {
        "text": lambda: isinstance(value, str),
        KINDS["labels"]: lambda: value in LABELS,
        "a percentage, 0 to 100": lambda: number(value, 100),
        "a number, 0 to 1": lambda: number(value, 1),
        "a whole number, 1 to 10^18": lambda: whole(value) and 0 < value <= 10**18,
        "a list of percentages, 0 to 100": lambda: isinstance(value, list) and all(number(one, 100) for one in value),
        "a list of texts": lambda: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of whole numbers": lambda: isinstance(value, list) and all(map(whole, value)),
        "percentages, 0 to 100, by name of class": lambda: numbers(value, 100),
        "percentages, 0 to 100, by name": lambda: numbers(value, 100),
        "seconds by name": lambda: numbers(value, 1e18),
        "true or false": lambda: isinstance(value, bool),
    }[kind]
    if not right():
        raise UserError(f"{where} says {name} = {json.dumps(value)}; it must be {kind}")
    return tuple(value) if isinstance(value, list) else value


def number(value: Any, most: float) -> bool:
    """Whether it is a number in [0, most]; NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def numbers(value: Any, most: float) -> bool:
    """Whether it is a dictionary of numbers in [0, most]."""
    return isinstance(value, dict) and all(number(one, most) for one in value.values())


def whole(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def consistent(found: Result, where: str) -> None:
    """Refuse a row that contradicts itself."""
    if found.scores and len(found.scores) != found.n:
        raise UserError(f"{where} says n = {found.n} and gives {len(found.scores)} scores")
    if found.sets is not None and found.sets > found.n:
        raise UserError(f"{where} says n = {found.n} and sets = {found.sets}: no score is of some of them")
    if found.scores and not math.isclose(statistics.fmean(found.scores), found.mean, abs_tol=0.051):
        raise UserError(
            f"{where} says mean = {found.mean:g}, and its scores have {statistics.fmean(found.scores):g}: one of them is wrong"
        )
    if found.scores and not any(math.isclose(found.std, one, abs_tol=0.13) for one in deviations(found.scores)):
        raise UserError(
            f"{where} says std = {found.std:g}, and its scores have {deviations(found.scores)[-1]:g}: one of them is wrong"
        )
    if is_fraction(found):
        raise UserError(
            f"{where} says mean = {found.mean:g}, and accuracies are in percent: for a share of the pictures write "
            f'{100 * found.mean:g}; if it is so low indeed, let "data" say of how many classes: "ImageNet-1K, 1,000 classes"'
        )
    if found.seeds and (len(found.seeds) != len(found.scores) or len({*found.seeds}) != len(found.seeds)):
        raise UserError(
            f"{where} gives {len(found.scores)} scores and seeds {list(found.seeds)}: one of its own for each"
        )


def deviations(scores: Sequence[float]) -> list[float]:
    """Their standard deviation over n, as some report it, and that over n - 1, where there is one."""
    return [statistics.pstdev(scores), *([statistics.stdev(scores)] if len(scores) > 1 else [])]


def is_fraction(found: Result) -> bool:
    """Whether its accuracy is surely a share in [0, 1]: 1 % or less of fewer than a hundred classes, or of nobody knows how many.

    What `gendistill` measured is in percent, and is known by the hash of its pictures.
    """
    classes = re.search(r"(\d[\d,]*) classes", found.data)
    few = classes is None or int(classes[1].replace(",", "")) < 100
    return few and not found.held_out and 0 < max(found.mean, *found.scores, 0.0) <= 1
