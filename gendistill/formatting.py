"""How numbers become words, the same on the terminal, on the card and on the report; and where templates are read."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from gendistill.errors import UserError

PAGE_MARK = '<meta name="generator" content="gendistill">'
"""By which a page that was written here is known, within the first of its bytes."""
SET_NAMES = {
    "distilled": "distilled",
    "random_real": "random real",
    "herding": "herding",
    "k_centre": "k-centre",
    "unsteered": "unsteered prior",
    "full_real": "full real data",
}


def spell_set(name: str) -> str:
    """The name of a compared set, for readers: ``random_real`` is "random real"."""
    return SET_NAMES.get(name, name.replace("_", " "))


def spell_labels(kind: str, labeler: str = "") -> str:
    """A kind of labels and who gave them, for readers: "labels of views", "soft labels, 2 teachers, T 4"."""
    words = {"views": "labels of views", "online": "online labels"}.get(kind, f"{kind} labels")
    return ", ".join(filter(None, (words, labeler)))


def spell_bytes(count: float) -> str:
    """Bytes in decimal units with three digits: 12345 is "12.3 kB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def bytes_of(text: str) -> int:
    """What `spell_bytes` wrote, or anybody: "20MB", "1.5 kB", "300"; units are decimal.

    Raises:
        UserError: it is no number of bytes.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if not found:
        raise UserError(f"{text!r} is no number of bytes; write for example 20MB, 500kB or 1500000")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


def spell_seconds(seconds: float) -> str:
    """A length of time: "0.42 s", "12 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def spell_accuracy(mean: float, std: float, n: int) -> str:
    """An accuracy in percent with its deviation and number of runs; a single run has no deviation."""
    return f"{mean:.1f} ± {std:.1f} ({n})" if n > 1 else f"{mean:.1f} ({n})"


def spell_score(score: float | None, std: float | None = None) -> str:
    """A robust score times 100 with its deviation; "" where it is not known."""
    if score is None:
        return ""
    return f"{100 * score:.1f}" + (f" ± {100 * std:.1f}" if std else "")


def spell_cell(value: object) -> str:
    """What a cell of a Markdown table holds: one line, in which no ``|`` begins the next cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def plural(count: int, noun: str) -> str:
    """A number of things: "1 picture", "2 pictures", "2 classes"."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def describe(images: int, classes: int, shape: tuple[int, int, int]) -> str:
    """The size of a set in words: "100 pictures, 10 classes, 16 × 16 grey"."""
    return spell_data(plural(images, "picture"), classes, shape)


def spell_data(name: str, classes: int, shape: tuple[int, int, int]) -> str:
    """What pictures are, in words: "digits, 10 classes, 16 × 16 grey"."""
    kind = {1: "grey", 3: "RGB", 4: "RGBA"}.get(shape[0], f"with {shape[0]} channels")
    return f"{name}, {plural(classes, 'class')}, {shape[1]} × {shape[2]} {kind}"


@cache
def template(name: str) -> Template:
    """A template of this package; HTML escapes what it is given, and a name it was not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda file: file is not None and ".html" in file,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(bytes=spell_bytes, seconds=spell_seconds, set=spell_set, cell=spell_cell)
    environment.globals.update(plural=plural, accuracy=spell_accuracy, page_mark=Markup(PAGE_MARK))
    return environment.get_template(name)
