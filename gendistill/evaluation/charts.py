"""The report's charts as inline SVG. Colours and type come from the page's style sheet, so both colour schemes work."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

from gendistill.evaluation.report import Block, Row
from gendistill.formatting import plural, spell_set

WIDTH = 960
"""Width of every chart in its own units; the page scales it."""

LEFT, RIGHT = 170, 190
"""Beside the axis: names, and figures with what the labels are, as far as these are hard, soft ..."""
LETTER = 6.4
"""Width of a letter of what more there is to say of labels."""
ROW, STEP, AXIS = 30, 17, 30
SHARES = 6
"""Colours of a stacked bar; what is left over shares the last one."""


def accuracy_chart(block: Block, ticks: Sequence[float]) -> Markup:
    """Sets from top to bottom, a dot with its deviation for each kind of labels, and the value in figures.

    The axis runs from the first tick to the last; charts that are read together share theirs.
    """
    low, high = ticks[0], ticks[-1]
    right = WIDTH - RIGHT - LETTER * max(len(row.labelled) - len(row.labels) for row in block.rows)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (right - LEFT)

    parts, y = [], 6.0
    for name in block.sets:
        rows = [row for kind in block.labels if (row := block.find(name, kind))]
        height = ROW + STEP * (len(rows) - 1)
        if name == "distilled":
            parts.append(f'<rect class="band" x="0" y="{y:.1f}" width="{WIDTH}" height="{height}" rx="6"/>')
        style = "name strong" if name == "distilled" else "name"
        parts.append(text(12, y + height / 2, spell_set(name), style))
        parts += [mark(row, x, y + ROW / 2 + STEP * place, right + 24) for place, row in enumerate(rows)]
        y += height + 6
    grid = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="0" y2="{y:.1f}"/>'
        + text(x(t), y + 18, f"{t:g} %" if t == high else f"{t:g}")
        for t in ticks
    ]
    return svg(y + AXIS, f"Accuracy: {block.title}", grid + parts)


def mark(row: Row, x: Callable[[float], float], y: float, right: float) -> str:
    """A dot, its deviation, and its value in figures from ``right`` on."""
    kind = "hard" if row.labels == "hard" else "soft"
    spread = ""
    if row.n > 1:
        a, b = x(max(row.mean - row.std, 0)), x(min(row.mean + row.std, 100))
        line = f"M{a:.1f} {y - 4:.1f}v8M{a:.1f} {y:.1f}H{b:.1f}M{b:.1f} {y - 4:.1f}v8"
        spread = f'<path class="whisker {kind}" d="{line}"/>'
    middle = x(row.mean)
    # A shape of its own besides the colour: a circle for hard labels, a diamond for all others.
    if kind == "hard":
        dot = f'<circle class="dot hard" cx="{middle:.1f}" cy="{y:.1f}" r="5"/>'
    else:
        dot = f'<path class="dot soft" d="M{middle:.1f} {y - 6.4:.1f}l6.4 6.4l-6.4 6.4l-6.4 -6.4z"/>'
    value = f"{row.mark}{row.mean:.1f}" + (f" ± {row.std:.1f}" if row.n > 1 else "")
    words = f"{spell_set(row.set)}, {row.heading}: {value} %, n = {row.n}, {row.epochs} epochs"
    figures = text(right, y, value, "value") + text(right + 82, y, f"{row.labelled}, n = {row.n}", "faint")
    return f"<g><title>{escape(words)}</title>{spread}{dot}{figures}</g>"


def axis(rows: Sequence[Row]) -> list[float]:
    """Round ticks from below all accuracies and their deviations to above them, within 0 to 100."""
    return percentages(min(row.mean - row.std for row in rows), max(row.mean + row.std for row in rows))


def percentages(low: float, high: float) -> list[float]:
    """Round ticks from below ``low`` to above ``high``, within 0 to 100."""
    step = next(s for s in (1, 2, 5, 10, 20) if (high - low) / s <= 5 or s == 20)
    first = max(0, math.floor(low / step - 0.25))
    last = min(math.ceil(100 / step), math.ceil(high / step + 0.25))
    return [float(step * tick) for tick in range(first, max(last, first + 1) + 1)]


def histogram(counts: Sequence[int], limit: float, unit: str) -> Markup:
    """Columns over equal bins from 0 to ``limit``, as high as their counts, the highest with its number."""
    width, height, bottom = 460, 150, 34
    gap = 2.0
    bar = (width - gap * (len(counts) - 1)) / len(counts)
    top, highest, parts = max(max(counts), 1), counts.index(max(counts)), []
    for index, count in enumerate(counts):
        tall = count / top * (height - 20)
        left, words = index * (bar + gap), plural(count, "picture")
        box = f'x="{left:.1f}" y="{height - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}"'
        parts.append(f'<rect class="soft-fill" {box} rx="1.5"><title>{words}</title></rect>')
        if index == highest:
            parts.append(text(min(max(left + bar / 2, 32), width - 32), height - tall - 9, words))
    parts.append(f'<line class="rule" x1="0" x2="{width}" y1="{height}" y2="{height}"/>')
    for value, anchor in ((0.0, "start"), (limit / 2, "middle"), (limit, "end")):
        words = f"{value:.2g} {unit}" if value == limit else f"{value:.2g}"
        parts.append(text(value / limit * width, height + 18, words, f"tick {anchor}"))
    return svg(height + bottom, "Histogram of label entropy", parts, width)


def shares(amounts: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Name, amount and share of the whole, largest first; what exceeds the colours is added up as "other"."""
    ranked = sorted(((name, amount) for name, amount in amounts.items() if amount > 0), key=lambda item: -item[1])
    if len(ranked) > SHARES:
        ranked = [*ranked[: SHARES - 1], ("other", sum(amount for _, amount in ranked[SHARES - 1 :]))]
    whole = sum(amount for _, amount in ranked) or 1
    return [(name, amount, amount / whole) for name, amount in ranked]


def stacked_bar(parts: Sequence[tuple[str, float, float]], title: str) -> Markup:
    """One horizontal bar of coloured shares."""
    left, drawn = 0.0, []
    for index, (name, _, share) in enumerate(parts):
        width = share * WIDTH
        drawn.append(
            f'<rect class="share-{index}" x="{left:.1f}" y="0" width="{max(width - 2, 1):.1f}" height="22" rx="2">'
            f"<title>{escape(name)}: {share:.0%}</title></rect>"
        )
        left += width
    return svg(22, title, drawn, stretch=True)


def text(x: float, y: float, words: str, style: str = "tick") -> str:
    """Words at a place, in a style of the page."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def svg(height: float, title: str, parts: Sequence[str], width: int = WIDTH, stretch: bool = False) -> Markup:
    """The parts as one picture with a title for those who cannot see it."""
    box = f'viewBox="0 0 {width} {height:.0f}" width="100%"'
    if stretch:
        box += f' height="{height:.0f}" preserveAspectRatio="none"'
    return Markup(f'<svg {box} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>')
