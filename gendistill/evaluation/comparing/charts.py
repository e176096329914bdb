"""The charts of a comparison as inline SVG: accuracy against bytes, and intervals in a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from gendistill.evaluation.charts import WIDTH, percentages, svg, text
from gendistill.evaluation.comparing.results import Result
from gendistill.formatting import spell_bytes, spell_labels

COLOURS = 8
"""Colours of sets; further ones begin again, which is why every set has a number as well."""
PLAIN = {"random_real": "random", "unsteered": "unsteered", "herding": "herding", "k_centre": "centres"}
"""Baselines have no number, and greyer colours."""

LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 44, 26, 14, 370, 46
NEAR, APART = 11.0, 13.0
"""Marks nearer than this, both ways, are put side by side, so far apart."""

WORDS, FIGURES, LINE = 372, 212, 27


@dataclass(frozen=True)
class Mark:
    """One accuracy in the chart.

    result  what is drawn
    name    what it is called
    number  of its set; 0 for a baseline
    """

    result: Result
    name: str
    number: int

    @property
    def style(self) -> str:
        """Its class in the page's style sheet, which says its colour."""
        return f"c{(self.number - 1) % COLOURS}" if self.number else PLAIN.get(self.result.set, "baseline")

    @property
    def words(self) -> str:
        """All of it, for who points at it."""
        one = self.result
        size = "not stated" if one.bytes is None else spell_bytes(one.bytes)
        ipc = "" if one.ipc is None else f", IPC {one.ipc}"
        rule = f", published: {one.rule}" if one.published else ""
        accuracy = f"{one.marked} ({one.n}) %"
        return f"{self.name}{ipc}, {spell_labels(one.labels, one.labeler)}: {accuracy}, {size}{rule}"


def cloud(marks: Sequence[Mark]) -> Markup:
    """Accuracy against bytes, in powers of ten. Sets that were taken whole are lines: their bytes would dwarf all others."""
    drawn = [mark for mark in marks if is_drawn(mark.result)]
    lines = [mark for mark in marks if mark.result.whole]
    low = min(mark.result.mean - mark.result.std for mark in drawn)
    high = max(mark.result.mean + mark.result.std for mark in drawn)
    lines = [mark for mark in lines if within_sight(mark.result, low, high)]
    ticks = percentages(min([low, *(m.result.mean for m in lines)]), max([high, *(m.result.mean for m in lines)]))
    sizes = [mark.result.bytes or 1 for mark in drawn]
    least, most = math.log10(min(sizes)), math.log10(max(sizes))
    margin = max(0.08 * (most - least), 0.12)

    def x(size: float) -> float:
        share = (math.log10(size) - least + margin) / (most - least + 2 * margin)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - (min(max(value, ticks[0]), ticks[-1]) - ticks[0]) / (ticks[-1] - ticks[0]))

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        + text(LEFT - 10, y(t), f"{t:g} %" if t == ticks[-1] else f"{t:g}", "tick end")
        for t in ticks
    ]
    floor = TOP + HEIGHT
    for size in powers(10 ** (least - margin), 10 ** (most + margin)):
        parts.append(f'<line class="rule" x1="{x(size):.1f}" x2="{x(size):.1f}" y1="{floor}" y2="{floor + 5}"/>')
        parts.append(text(x(size), floor + 18, spell_bytes(size)))
    parts.append(text(WIDTH - RIGHT, floor + 38, "bytes that a user stores, logarithmic", "tick end"))
    for mark in lines:
        height = y(mark.result.mean)
        words = f"{mark.name}, {spell_labels(mark.result.labels)}, {spell_bytes(mark.result.bytes or 0)}: {mark.result.mean:.1f} %"
        parts.append(f'<line class="ceiling" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(text(WIDTH - RIGHT, height - 9, words, "faint end"))
    places = side_by_side([(x(size), y(mark.result.mean)) for size, mark in zip(sizes, drawn, strict=True)])
    parts += threads(drawn, places, y)
    numbered = len({mark.number for mark in drawn if mark.number}) > 1
    parts += [dot(mark, place, y, numbered) for mark, place in zip(drawn, places, strict=True)]
    return svg(floor + BOTTOM, "Accuracy against bytes", parts)


def is_drawn(one: Result) -> bool:
    """Whether it has a place of its own: its bytes are known."""
    return one.bytes is not None and not one.whole


def within_sight(one: Result, low: float, high: float) -> bool:
    """Whether an accuracy is near enough to the others to be drawn with them."""
    return one.mean - high <= max(high - low, 4) and low - one.mean <= max(high - low, 4)


def powers(low: float, high: float) -> list[float]:
    """Round numbers of bytes from low to high, a few: 1, 2 and 5 times powers of ten, or these alone; the ends where none is."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        found = [size for size in found if low <= size <= high]
        if len(found) <= 9:
            break
    return found or sorted({low, high})


def side_by_side(points: Sequence[tuple[float, float]]) -> list[float]:
    """Where along the axis marks are drawn: those that would hide another move to its side, the nearest that is free."""
    placed: list[tuple[float, float]] = []
    for x, y in points:
        steps = (x + APART * sign * step for step in range(len(points) + 1) for sign in (1, -1))
        free = (place for place in steps if all(abs(place - a) >= NEAR or abs(y - b) >= NEAR for a, b in placed))
        placed.append((next(free), y))
    return [x for x, _ in placed]


def threads(marks: Sequence[Mark], places: Sequence[float], y: Callable[[float], float]) -> list[str]:
    """Lines through what differs in bytes alone: one set with one kind of labels."""
    found: dict[tuple[object, ...], list[tuple[float, float, str]]] = {}
    for mark, place in zip(marks, places, strict=True):
        key = (mark.name, mark.result.labelled, mark.result.published)
        found.setdefault(key, []).append((place, y(mark.result.mean), mark.style))
    return [
        f'<polyline class="thread {points[0][2]}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b, _ in sorted(points))}"/>'
        for points in found.values()
        if len(points) > 1
    ]


def dot(mark: Mark, x: float, y: Callable[[float], float], numbered: bool) -> str:
    """A mark whose colour is its set and whose shape is its kind of labels, hollow where it was published; and its deviation."""
    one, middle = mark.result, y(mark.result.mean)
    spread = ""
    if one.std:
        top, bottom = y(one.mean + one.std), y(one.mean - one.std)
        line = f"M{x - 3:.1f} {top:.1f}h6M{x:.1f} {top:.1f}V{bottom:.1f}M{x - 3:.1f} {bottom:.1f}h6"
        spread = f'<path class="spread {mark.style}" d="{line}"/>'
    number = text(x + 8, middle - 8, str(mark.number), "count") if mark.number and numbered else ""
    figure = shape(one.labels, x, middle, f"mark {mark.style}{' hollow' if one.published else ''}")
    return f"<g><title>{escape(mark.words)}</title>{spread}{figure}{number}</g>"


def shape(labels: str, x: float, y: float, style: str) -> str:
    """A circle for hard labels, a diamond for soft ones, a square for those of views, a triangle for a teacher online."""
    if labels == "hard":
        return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    outline = {
        "views": f"M{x - 4.7:.1f} {y - 4.7:.1f}h9.4v9.4h-9.4z",
        "online": f"M{x:.1f} {y - 6.2:.1f}l6 10.4h-12z",
    }.get(labels, f"M{x:.1f} {y - 6.4:.1f}l6.4 6.4l-6.4 6.4l-6.4 -6.4z")
    return f'<path class="{style}" d="{outline}"/>'


def key(labels: str) -> Markup:
    """The shape of a kind of labels, for a legend."""
    return Markup(
        f'<svg class="key" viewBox="0 0 14 14" width="14" height="14">{shape(labels, 7, 7, "mark plain")}</svg>'
    )


@dataclass(frozen=True)
class Bar:
    """A number with the interval it lies in.

    words        what it is of, and the fainter rest
    middle       the number
    low, high    its interval
    inner        another interval, drawn broader
    figures      all of it, in figures
    """

    words: str
    rest: str
    middle: float
    low: float
    high: float
    figures: str
    inner: tuple[float, float] | None = None


def intervals(
    bars: Sequence[Bar], reference: float, caption: str, title: str, limits: tuple[float, float] | None = None
) -> Markup:
    """Bars from top to bottom beside a line at ``reference``. An interval that leaves the chart has no end there."""
    low, high = limits or reach(bars, reference)
    left, right = WORDS, WIDTH - FIGURES

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    bottom = LINE * len(bars) + 4
    parts = [f'<line class="rule" x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="0" y2="{bottom}"/>']
    for value in even_ticks(low, high):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="0" y2="{bottom}"/>')
        parts.append(text(x(value), bottom + 14, signed(value, "g") if low < 0 else f"{value:g}"))
    parts.append(text(left, bottom + 34, caption, "tick start"))
    parts.sort(key=lambda part: "rule" in part)  # the reference lies above the grid
    for place, bar in enumerate(bars):
        y, clear = LINE * (place + 0.5), not bar.low <= reference <= bar.high
        style = "clear" if clear else "unclear"
        drawn = f"<title>{escape(f'{bar.words}, {bar.rest}: {bar.figures}')}</title>"
        if bar.inner:
            a, b = (x(value) for value in bar.inner)
            drawn += f'<rect class="inner {style}" x="{a:.1f}" y="{y - 4.5:.1f}" width="{max(b - a, 1):.1f}" height="9" rx="2"/>'
        ends = "".join(f"M{x(end):.1f} {y - 4:.1f}v8" for end in (bar.low, bar.high) if low <= end <= high)
        drawn += f'<path class="outer {style}" d="M{x(bar.low):.1f} {y:.1f}H{x(bar.high):.1f}{ends}"/>'
        drawn += f'<circle class="middle {style}" cx="{x(bar.middle):.1f}" cy="{y:.1f}" r="4"/>'
        words = f'{escape(short(bar.words))} <tspan class="faint">{escape(bar.rest)}</tspan>'
        drawn += f'<text class="name" x="0" y="{y:.1f}">{words}</text>'
        drawn += text(right + 16, y, bar.figures, "value")
        parts.append(f"<g>{drawn}</g>")
    return svg(bottom + 44, title, parts)


def reach(bars: Sequence[Bar], reference: float) -> tuple[float, float]:
    """The ends of an axis that shows all middles and inner intervals, and outer ones up to twice as far."""
    inside = [reference, *(v for bar in bars for v in (bar.middle, *(bar.inner or (bar.low, bar.high))))]
    low, high = min(inside), max(inside)
    room = max(high - low, 1.0)
    low = max(min(low, *(bar.low for bar in bars)), low - room)
    high = min(max(high, *(bar.high for bar in bars)), high + room)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def even_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, three to seven."""
    steps = (factor * 10.0**exponent for exponent in range(-2, 3) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 7)
    return [round(step * place, 6) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def signed(value: float, form: str = ".1f") -> str:
    """A number with its sign, a true minus; 0 has none."""
    return f"{value:+{form}}".replace("-", "−") if value else "0"


def short(words: str, most: int = 44) -> str:
    """Words that fit beside a chart, the middle left out where they are too long."""
    half = (most - 1) // 2
    return words if len(words) <= most else f"{words[:half]}…{words[-half:]}"
