"""A report as tables of words: for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from gendistill.formatting import spell_accuracy, spell_bytes, spell_set

if TYPE_CHECKING:
    from gendistill.evaluation.report import Block, Likeness

UNHARMED = "as they are"
"""What accuracy on the same pictures is called, where a student was put through stress."""
ONE_SET = "one set: says nothing of another seed"
"""What must stand beside an interval over students of a single set."""


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


def under_stress(block: Block) -> list[list[str]]:
    """Cells of what is left of accuracies under attacks and corruptions, with a header; none where nothing was put through them."""
    rows = [row for row in block.rows if row.attacked or row.corrupted]
    body = []
    for row in rows:
        hit, worn = (
            {name: value for name, value in found.items() if name != UNHARMED}
            for found in (row.attacked, row.corrupted)
        )
        worst = min(hit, key=lambda name: hit[name], default="")
        body.append([
            spell_set(row.set), row.labelled, f"{(row.attacked or row.corrupted)[UNHARMED]:.1f}",
            f"{fmean(hit.values()):.1f}" if hit else "", f"{hit[worst]:.1f} ({worst})" if hit else "",
            f"{fmean(worn.values()):.1f}" if worn else "",
        ])  # fmt: skip
    head = ["accuracy in %", "labels", UNHARMED, "mean of attacks", "worst attack", "mean of corruptions"]
    return [head, *body] if body else []


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
