"""A report as tables of words: for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from gendistill.evaluation.metrics.indices import attack_efficiency, crei, robustness_ratio
from gendistill.formatting import spell_accuracy, spell_bytes, spell_set

if TYPE_CHECKING:
    from gendistill.evaluation.comparing.result import Result
    from gendistill.evaluation.report import Block, Likeness, Row

    Named: TypeAlias = Sequence[tuple[str, Row | Result]]
    """What was measured, by what readers call it."""

UNHARMED = "as they are"
"""What accuracy on the same pictures is called, where a student was put through stress."""
CALIBRATION = (
    "How far students' probabilities are from the share they are right about, in [0, 1], mean over seeds; best is 0."
)
"""What a calibration error is."""
MARK = "† "
"""Stands before accuracies that rest on teachers of others."""
ONE_SET = "one set: says nothing of another seed"
"""What must stand beside an interval over students of a single set."""


def table(block: Block) -> list[list[str]]:
    """Cells of a block with a header: sets by kinds of labels, then epochs and bytes."""
    heads = {row.labelled: row.heading for row in block.rows}
    lines = [["accuracy in %, mean ± std (n)", *(heads[kind] for kind in block.labels), "epochs", "bytes"]]
    for name in block.sets:
        rows = [block.find(name, kind) for kind in block.labels]
        cells = ["" if row is None else f"{row.mark}{spell_accuracy(row.mean, row.std, row.n)}" for row in rows]
        epochs = dict.fromkeys(str(row.epochs) for row in rows if row)
        sizes = dict.fromkeys(spell_bytes(row.bytes) for row in rows if row)
        lines.append([spell_set(name), *cells, " / ".join(epochs), " / ".join(sizes)])
    return lines


def marked(split: str) -> str:
    """What the mark says of accuracies on the pictures of a split."""
    return (
        f"{MARK}teachers trained elsewhere, on pictures that are not stated: they may have been picked on, or have seen, these "
        f"{split} pictures."
    )


def calibrations(block: Block) -> list[list[str]]:
    """Cells of expected calibration errors, sets by kinds of labels, with a header; none where none was measured."""
    if all(row.calibration_error is None for row in block.rows):
        return []
    heads = {row.labelled: row.heading for row in block.rows}
    lines = [["calibration error, 0 is best", *(heads[kind] for kind in block.labels)]]
    for name in block.sets:
        rows = [block.find(name, kind) for kind in block.labels]
        lines.append([spell_set(name), *("" if row is None else spell_figure(row.calibration_error) for row in rows)])
    return lines


def spell_figure(value: float | None, digits: int = 3) -> str:
    """A number with so many digits after its point; nothing where it is not known."""
    return "" if value is None else f"{value:.{digits}f}"


def indices(row: Row | Result) -> list[str]:
    """RR, AE and CREI of BEARD by means over students; none of one attack, which makes them constants, nor of published rows."""
    names = harms(row.attacked)
    if len(names) < 2 or UNHARMED not in row.attacked or getattr(row, "published", False):
        return ["", "", ""]
    ratio = robustness_ratio(row.attacked[UNHARMED], [row.attacked[name] for name in names])
    seconds, efficiency = row.attack_seconds, None
    if row.attacked.keys() <= seconds.keys():
        efficiency = attack_efficiency(seconds[UNHARMED], [seconds[name] for name in names])
    return [spell_figure(value, 1) for value in (ratio, efficiency, crei(ratio, efficiency))]


INDICES = ["RR", "AE", "CREI"]


def indices_notes(lines: Sequence[Sequence[str]]) -> list[str]:
    """What must be known of a table with indices; nothing where it has none."""
    return [
        "RR, AE and CREI as BEARD has them, up to 100: the mean over attacks beside the worst, how long attackers take, and the "
        "mean of both. AE is of the clock: compare it within one run on one machine."
    ] * (lines[0][-1] == INDICES[-1])


def harms(found: Mapping[str, float]) -> list[str]:
    """The names of attacks or corruptions among what was measured, which begins with the pictures as they are."""
    return [name for name in found if name != UNHARMED]


def under_stress(named: Named) -> list[list[str]]:
    """Cells of what is left of accuracies under attacks and corruptions, with a header; none where nothing was put through them."""
    some = [(name, row) for name, row in named if row.attacked or row.corrupted]
    told = any(any(indices(row)) for _, row in some)
    body = []
    for name, row in some:
        hit, worn = ([found[one] for one in harms(found)] for found in (row.attacked, row.corrupted))
        worst = min(harms(row.attacked), key=lambda one: row.attacked[one], default="")
        body.append([
            name, row.labelled, spell_figure((row.attacked or row.corrupted).get(UNHARMED), 1),
            f"{fmean(hit):.1f}" if hit else "", f"{min(hit):.1f} ({worst})" if hit else "",
            f"{fmean(worn):.1f}" if worn else "", *(indices(row) if told else []),
        ])  # fmt: skip
    head = ["accuracy in %", "labels", UNHARMED, "mean of attacks", "worst attack", "mean of corruptions"]
    return [[*head, *(INDICES if told else [])], *body] if body else []


def by_stress(named: Named, what: str) -> list[list[str]]:
    """Cells of accuracies under every attack, what="attacked", with indices, or under every corruption, "corrupted", with a header.

    None where nothing was put through them.
    """
    some: list[tuple[str, Row | Result, Mapping[str, float]]] = [
        (name, row, found) for name, row in named if (found := getattr(row, what))
    ]
    names = list(dict.fromkeys(one for _, _, found in some for one in found))
    told = what == "attacked" and any(any(indices(row)) for _, row, _ in some)
    body = [
        [
            name,
            row.labelled,
            *(spell_figure(found.get(one), 1) for one in names),
            *(indices(row) if told else []),
        ]
        for name, row, found in some
    ]
    return [["set", "labels", *names, *(INDICES if told else [])], *body] if body else []


def stressed(named: Named) -> Iterator[tuple[str, list[list[str]], list[str]]]:
    """Title, cells and notes of every table of `by_stress` that there is."""
    for what, words in (("attacked", "under attack"), ("corrupted", "corrupted")):
        if cells := by_stress(named, what):
            yield f"accuracy in % of pictures {words}", cells, indices_notes(cells)


def among_real(found: Sequence[Likeness]) -> tuple[list[list[str]], list[str]]:
    """Cells of where pictures lie among real ones, with a header, and what the columns are."""
    head = ["set", "Fréchet", "precision", "recall", "density", "coverage", "copies in pixels", "in features"]
    body = [
        [
            spell_set(one.set), f"{one.frechet:.3g}",
            *(f"{value:.2f}" for value in (one.precision, one.recall, one.density, one.coverage)),
            *(f"{100 * share:.0f} %" for share in (one.copies, one.copies_seen)),
        ]
        for one in found
    ]  # fmt: skip
    one = found[0]
    return [head, *body], [
        f"{one.pictures:,} pictures of a set among {one.real:,} real ones, k = {one.k}; features of {one.features}. A copy is less "
        "than half as far from a real picture as that is from the next one; random real pictures are real ones."
    ]


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
