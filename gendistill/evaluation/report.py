"""What an evaluation found: one row per set, kind of labels and student, always shown side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gendistill.formatting import SET_NAMES, spell_accuracy, spell_bytes, spell_set


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
    mean, std accuracy of the last epoch in percent, over independent (set, student) seeds
    n         number of those seeds; with n = 1 there is no deviation and std is 0
    scores    the accuracy of every seed, in percent: what belongs to one seed belongs together across rows
    training  how the student learned, as code
    per_class accuracy by name of class in percent, mean over seeds
    calibration_error  how far a student's probabilities are from its accuracy, in [0, 1], mean over seeds; None where not measured
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
    distinct: int | None = None
    labeler: str = ""
    scores: tuple[float, ...] = ()
    training: str = ""
    per_class: Mapping[str, float] = field(default_factory=dict)
    calibration_error: float | None = None

    @property
    def labelled(self) -> str:
        """What the labels are: "soft", or "soft, 2 teachers, T 4"."""
        return ", ".join(filter(None, (self.labels, self.labeler)))

    @property
    def heading(self) -> str:
        """The same as the head of a column: "soft labels", or "soft labels, 2 teachers, T 4"."""
        return ", ".join(filter(None, (f"{self.labels} labels", self.labeler)))


@dataclass(frozen=True)
class Block:
    """Rows that may be compared: one student, protocol, IPC and split.

    A set that was taken whole stands in every block of its student, whatever the IPC.
    """

    student: str
    protocol: str
    ipc: int | None
    split: str
    rows: tuple[Row, ...]

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
        """What a reader must know who compares by IPC alone: sets that are generators, and how much a student saw of them."""
        seen = {row.set: row for row in self.rows if row.distinct is not None}
        return [
            f"{spell_set(name)} is a generator, counted by its bytes: a student sees {row.ipc} pictures per class an epoch, "
            f"{row.distinct:,} different ones in all."
            for name, row in seen.items()
        ]

    def find(self, name: str, labels: str) -> Row | None:
        """The row of this set with these labels, one of ``labels``."""
        return next((row for row in self.rows if row.set == name and row.labelled == labels), None)


@dataclass(frozen=True)
class Report:
    """All rows of an evaluation. Prints as an aligned table.

    seconds  each stage took
    notes    what a reader must know beside: who labelled and what they saw, and test pictures that were learned from
    """

    rows: Sequence[Row]
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def blocks(self) -> list[Block]:
        """The rows in groups that may be compared, in the order they were measured."""
        keys = list(dict.fromkeys((row.student, row.protocol, row.ipc, row.split) for row in self.rows))
        small = {(student, protocol, split) for student, protocol, ipc, split in keys if ipc is not None}
        found = []
        for student, protocol, ipc, split in keys:
            if ipc is None and (student, protocol, split) in small:
                continue
            rows = tuple(
                row
                for row in self.rows
                if (row.student, row.protocol, row.split) == (student, protocol, split) and row.ipc in (ipc, None)
            )
            found.append(Block(student, protocol, ipc, split, rows))
        return found

    def block(self, ipc: int) -> Block | None:
        """The first block of this IPC, else the first of all; None where nothing was measured."""
        return next((block for block in self.blocks if block.ipc == ipc), next(iter(self.blocks), None))

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, ready for a JSON file: ``{"rows": [...], "seconds": {...}}``, and notes if there are any."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {"rows": [asdict(row) for row in self.rows], "seconds": dict(self.seconds), **notes}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """The report that `to_json` gave; entries this version does not know are left out."""
        names = {field.name for field in fields(Row)} - {"scores"}
        rows = [
            Row(**{name: entry for name, entry in row.items() if name in names}, scores=tuple(row.get("scores", ())))
            for row in value["rows"]
        ]
        return cls(rows, dict(value.get("seconds", {})), tuple(value.get("notes", ())))

    def __str__(self) -> str:
        tables = ["\n".join([block.title, aligned(table(block)), *block.notes]) for block in self.blocks]
        return "\n\n".join([*tables, *filter(None, ["\n".join(self.notes)])]) or "nothing was evaluated"

    def markdown(self) -> str:
        """The same tables for a card or a README."""
        tables = ["\n\n".join([f"**{block.title}**", piped(table(block)), *block.notes]) for block in self.blocks]
        return "\n\n".join([*tables, *self.notes])


def table(block: Block) -> list[list[str]]:
    """Cells of a block with a header: sets by kinds of labels, then epochs and bytes."""
    heads = {row.labelled: row.heading for row in block.rows}
    lines = [["accuracy in %, mean ± std (n)", *(heads[kind] for kind in block.labels), "epochs", "bytes"]]
    for name in block.sets:
        rows = [block.find(name, kind) for kind in block.labels]
        cells = ["" if row is None else spell_accuracy(row.mean, row.std, row.n) for row in rows]
        epochs = dict.fromkeys(str(row.epochs) for row in rows if row)
        sizes = dict.fromkeys(spell_bytes(row.bytes) for row in rows if row)
        lines.append([spell_set(name), *cells, " / ".join(epochs), " / ".join(sizes)])
    return lines


def aligned(lines: list[list[str]]) -> str:
    """A table for a terminal: first column to the left, the others to the right, a rule below the header."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def spread() -> Iterator[str]:
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            yield "  ".join([line[0].ljust(widths[0]), *cells]).rstrip()

    head, *body = spread()
    return "\n".join([head, "─" * (sum(widths) + 2 * (len(widths) - 1)), *body])


def piped(lines: list[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---|" + "---:|" * (len(lines[0]) - 1), *body])
