"""What an evaluation found: one row per set, kind of labels and student, always shown side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gendistill.evaluation.comparing.words import differing
from gendistill.evaluation.tables import (
    MARK,
    ONE_SET,
    aligned,
    among_real,
    indices_notes,
    marked,
    piped,
    table,
    under_stress,
)
from gendistill.formatting import SET_NAMES, spell_set


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured accuracy.

    set       what was trained on: "distilled", "random_real", "unsteered", "full_real" ...
    labels    "hard", "soft", "views" or "online"
    labeler   who labelled, in words; "" for hard labels and for those that the set has of its own
    student   the network that was trained, as it calls itself, or the mean over several
    protocol  the name of the training protocol
    epochs    passes over the set
    ipc       pictures per class; None for a set that was taken whole
    split     pictures the accuracy was measured on: "val" or "test"
    held_out  a hash of these, by which other pictures of other data are known that are called alike; "" where it is not known
    mean, std accuracy of the last epoch in percent, over independent (set, student) seeds
    n         number of those seeds; with n = 1 there is no deviation and std is 0
    scores    the accuracy of every seed, in percent: what belongs to one seed belongs together across rows
    sets      independent sets they are over: score i is of set i modulo this number; None where it is not known
    training  how the student learned, as code
    per_class accuracy by name of class in percent, mean over seeds
    calibration_error  how far a student's probabilities are from its accuracy, in [0, 1], mean over seeds; None where not measured
    attacked, corrupted  accuracy in percent by attack and by corruption, mean over seeds, and severities; the first entry is of the
              same pictures as they are. Empty where the protocol has no stress
    attack_seconds  to attack and to classify these pictures, as ``attacked``, mean over seeds. Empty where the clock was not kept
    elsewhere a teacher was trained by others, on pictures that nobody states; such accuracies are marked
    bytes     what a user stores: pictures, or the generator that draws them, labels and soft labels
    distinct  different pictures a student saw, where a generator drew them; None where the pictures are the set
    """

    set: str
    labels: str
    student: str
    protocol: str
    epochs: int
    ipc: int | None
    split: str
    mean: float
    std: float
    n: int
    bytes: int
    held_out: str = ""
    distinct: int | None = None
    labeler: str = ""
    scores: tuple[float, ...] = ()
    training: str = ""
    per_class: Mapping[str, float] = field(default_factory=dict)
    calibration_error: float | None = None
    sets: int | None = None
    attacked: Mapping[str, float] = field(default_factory=dict)
    corrupted: Mapping[str, float] = field(default_factory=dict)
    attack_seconds: Mapping[str, float] = field(default_factory=dict)
    elsewhere: bool = False

    @property
    def alone(self) -> bool:
        """Whether its deviation is over students of a single set, so that it says nothing of another one."""
        return self.sets == 1 and self.n > 1 and self.ipc is not None

    @property
    def mark(self) -> str:
        """What stands before its accuracy: "† ", or nothing."""
        return MARK * self.elsewhere

    @property
    def labelled(self) -> str:
        """What the labels are: "soft", or "soft, 2 teachers, T 4"."""
        return ", ".join(filter(None, (self.labels, self.labeler)))

    @property
    def heading(self) -> str:
        """The same as the head of a column: "soft labels", or "soft labels, 2 teachers, T 4"."""
        return ", ".join(filter(None, (f"{self.labels} labels", self.labeler)))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Where the pictures of a set lie among the real training pictures, mean over its sets.

    set        whose pictures
    ipc        pictures per class
    sets       how many of these sets were looked at
    frechet    distance of the normals fitted to the features of both, squared, >= 0; 0 is best
    precision, recall, density, coverage  as `gendistill.evaluation.metrics.fidelity` says
    copies     share of the pictures whose nearest real one is, in pixels, less than half as far as that is from the next real one
    copies_seen  the same in features
    pictures   of a set
    real       real pictures they were compared with
    k          neighbours that make a radius
    features   of which network
    """

    set: str
    ipc: int
    sets: int
    frechet: float
    precision: float
    recall: float
    density: float
    coverage: float
    copies: float
    copies_seen: float
    pictures: int
    real: int
    k: int
    features: str


@dataclass(frozen=True)
class Block:
    """Rows that may be compared: one student, protocol, IPC and training, and the same held-out pictures.

    A set that was taken whole stands in every block of its student, whatever the IPC and the training.

    others  trainings of other blocks, that go by the name of the same protocol
    apart   whether other blocks are called the same, and were measured on other pictures
    """

    student: str
    protocol: str
    ipc: int | None
    split: str
    rows: tuple[Row, ...]
    others: tuple[str, ...] = ()
    apart: bool = False

    @property
    def sets(self) -> list[str]:
        """Names of the sets: the well-known ones first, the others as they came."""
        known = [name for name in SET_NAMES if any(row.set == name for row in self.rows)]
        return known + list(dict.fromkeys(row.set for row in self.rows if row.set not in SET_NAMES))

    @property
    def labels(self) -> list[str]:
        """What labels there are, by kind and by who gave them, hard ones first."""
        kinds = list(dict.fromkeys(row.labelled for row in self.rows))
        return sorted(kinds, key=lambda kind: (kind != "hard", kinds.index(kind)))

    @property
    def title(self) -> str:
        """The student, and what the rows share."""
        size = "whole sets" if self.ipc is None else f"IPC {self.ipc}"
        return f"{self.student} · {size} · {self.protocol} · {self.split}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know: deviations over students of one set, and generators, and how much a student saw of them."""
        alone = dict.fromkeys(spell_set(row.set) for row in self.rows if row.alone)
        seen = {row.set: row for row in self.rows if row.distinct is not None}
        found = [f"{', '.join(alone)}: ± is over students of {ONE_SET}."] * bool(alone)
        found += [marked(self.split)] * any(row.elsewhere for row in self.rows)
        if self.others:
            mine = next((row.training for row in self.rows if row.ipc is not None), "")
            found.append(f"Other trainings go by the name of this protocol; here {differing(mine, self.others)}.")
        if self.apart:
            found.append(f"Other pictures are called the same; these are {self.rows[0].held_out or 'not known'}.")
        return found + [
            f"{spell_set(name)} is a generator, counted by its bytes: a student sees {row.ipc} pictures per class an epoch, "
            f"{row.distinct:,} different ones in all."
            for name, row in seen.items()
        ]

    @property
    def named(self) -> list[tuple[str, Row]]:
        """The rows, by what readers call their sets."""
        return [(f"{row.mark}{spell_set(row.set)}", row) for row in self.rows]

    def find(self, name: str, labels: str) -> Row | None:
        """The row of this set with these labels, one of ``labels``."""
        return next((row for row in self.rows if row.set == name and row.labelled == labels), None)


@dataclass(frozen=True)
class Report:
    """All rows of an evaluation. Prints as an aligned table.

    seconds  each stage took
    notes    what a reader must know beside: who labelled and what they saw, and test pictures that were learned from
    likeness where the pictures of the small sets lie among real ones, where that was asked
    data     the real data in words, where those are not what the set was made from; "" where they are
    """

    rows: Sequence[Row]
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    likeness: tuple[Likeness, ...] = ()
    data: str = ""

    @property
    def blocks(self) -> list[Block]:
        """The rows in groups that may be compared, in the order they were measured."""

        def shared(row: Row) -> tuple[str, ...]:
            return row.student, row.protocol, row.split, row.held_out

        keys = list(dict.fromkeys((shared(row), row.ipc, row.training if row.ipc else "") for row in self.rows))
        small = {common for common, ipc, _ in keys if ipc is not None}
        found = []
        for common, ipc, training in keys:
            if ipc is None and common in small:
                continue
            student, protocol, split, _ = common
            rows = tuple(
                row
                for row in self.rows
                if shared(row) == common and (row.ipc is None or (row.ipc, row.training) == (ipc, training))
            )
            others = tuple(other for those, size, other in keys if (those, size) == (common, ipc) and other != training)
            apart = any(those[:3] == common[:3] and those != common for those, *_ in keys)
            found.append(Block(student, protocol, ipc, split, rows, others, apart))
        return found

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and by what the set was judged where it does not follow from what it was made from."""
        return (*self.notes, *([f"Judged by {self.data}."] if self.data else []))

    def block(self, ipc: int) -> Block | None:
        """The first block of this IPC, else the first of all; None where nothing was measured."""
        return next((block for block in self.blocks if block.ipc == ipc), next(iter(self.blocks), None))

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, ready for a JSON file: ``{"rows": [...], "seconds": {...}}``, and what else there is."""
        more = {"notes": list(self.notes), "likeness": [asdict(one) for one in self.likeness], "data": self.data}
        told = {name: value for name, value in more.items() if value}
        return {"rows": [asdict(row) for row in self.rows], "seconds": dict(self.seconds), **told}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """The report that `to_json` gave; entries this version does not know are left out."""
        rows = [Row(**{**known(Row, row), "scores": tuple(row.get("scores", ()))}) for row in value["rows"]]
        likeness = tuple(Likeness(**known(Likeness, one)) for one in value.get("likeness", ()))
        told = {"notes": tuple(value.get("notes", ())), "data": value.get("data", "")}
        return cls(rows, dict(value.get("seconds", {})), likeness=likeness, **told)

    def __repr__(self) -> str:
        parts = ["\n".join([title, aligned(lines), *notes]) for title, lines, notes in self.tables]
        return "\n\n".join([*parts, *filter(None, ["\n".join(self.remarks)])]) or "nothing was evaluated"

    def markdown(self) -> str:
        """The same tables for a card or a README."""
        parts = ["\n\n".join([f"**{title}**", piped(lines), *notes]) for title, lines, notes in self.tables]
        return "\n\n".join([*parts, *self.remarks])

    @property
    def tables(self) -> Iterator[tuple[str, list[list[str]], list[str]]]:
        """Title, cells with a header, and notes of every table."""
        for block in self.blocks:
            yield block.title, table(block), block.notes
            if harmed := under_stress(block.named):
                yield f"{block.title} · under stress", harmed, indices_notes(harmed)
        alike: dict[tuple[object, ...], list[Likeness]] = {}
        for one in self.likeness:
            alike.setdefault((one.ipc, one.features, one.k, one.real), []).append(one)
        for those in alike.values():
            yield f"IPC {those[0].ipc} · pictures among real ones", *among_real(those)


def known(kind: type[Row | Likeness], value: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields of this kind."""
    names = {one.name for one in fields(kind)}
    return {name: entry for name, entry in value.items() if name in names}
