"""What to cite: BibTeX for the package, for the publication a recipe comes from, and for the parts it uses.

References are read from where they are written down anyway: docstrings of parts and pipelines that say
``Name (Authors, Venue Year), https://...`` or ``"Title" (Authors, Venue Year), https://...``.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from gendistill.config.pipeline import list_pipelines
from gendistill.system.environment import version

_NAME = r"[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?"
_REFERENCE = re.compile(
    rf"(?P<authors>{_NAME}(?: et al\.|(?:, {_NAME})*,? (?:&|and) {_NAME})?), (?P<venue>(?:[A-Z][\w-]*\s)*)"
    r"(?P<year>(?:19|20)\d\d)\)?[^()]{0,30}?(?P<url>https?://[^\s,;)]+)"
)

PACKAGE = """@software{{gendistill,
  title = {{{{gendistill: dataset distillation with generative models}}}},
  author = {{{{The gendistill authors}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}"""


@dataclass(frozen=True)
class Reference:
    """A publication. Everything but the URL may be unknown (empty).

    title  as published: a docstring has it in quotes before the authors
    name   what the docstring calls the method instead
    """

    url: str
    title: str = ""
    name: str = ""
    authors: str = ""
    venue: str = ""
    year: str = ""

    @property
    def key(self) -> str:
        """First author, year and end of the URL: unique, and the same wherever it is made."""
        end = re.sub(r"\W+", "-", self.url.rstrip("/").rpartition("/")[2])
        return re.split(r"\W", self.authors)[0].lower() + self.year + ":" + end if self.authors else end

    @property
    def bibtex(self) -> str:
        """The entry."""
        arxiv = re.search(r"arxiv\.org/abs/([\w./-]+)", self.url)
        entries = {
            "title": f"{{{self.title}}}" if self.title else "",
            "author": self.authors,
            "year": self.year,
            "howpublished": self.venue,
            "eprint": arxiv[1] if arxiv else "",
            "archiveprefix": "arXiv" if arxiv else "",
            "url": self.url,
            "note": self.name,
        }
        lines = [f"  {name} = {{{text}}}," for name, text in entries.items() if text]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])


def cite(*used: object) -> str:
    """BibTeX of this package and of what the given values come from: a recipe, a pipeline, parts, a distilled set."""
    found: dict[str, Reference] = {}
    for reference in (reference for value in used for text in texts(value) for reference in references(text)):
        if reference.url not in found or not found[reference.url].authors:
            found[reference.url] = reference
    return "\n\n".join([PACKAGE.format(version=version()), *(one.bibtex for one in found.values())]) + "\n"


def references(text: str) -> list[Reference]:
    """The publications a docstring names, in order; a text that is nothing but a URL is looked up in the pipelines."""
    if re.fullmatch(r"https?://\S+", text):
        known = [one for listed in list_pipelines() for one in references(listed.doc) if one.url == text]
        return known[:1] or [Reference(text)]
    text, found = " ".join(text.split()), []
    for match in _REFERENCE.finditer(text):
        before = text[: match.start()]
        title = re.search(r'"([^"]+)" \(?$', before)
        name = re.search(r"([A-Z][^().:;]*) \($", before)
        found.append(
            Reference(
                match["url"].rstrip(".:"),
                title[1] if title else "",
                name[1] if name and not title else "",
                _authors(match["authors"]),
                match["venue"].strip(),
                match["year"],
            )
        )
    return found


def texts(value: object) -> Iterator[str]:
    """Every string in a value of nested dataclasses and tuples, and the docstrings of their classes and modules."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from texts(getattr(value, field.name))
        yield type(value).__doc__ or ""
        yield sys.modules[type(value).__module__].__doc__ or ""


def _authors(written: str) -> str:
    """Names as BibTeX joins them: "Zhao & Bilen" and "Gu et al." are "Zhao and Bilen" and "Gu and others"."""
    written = re.sub(r",?\s+et al\.?", " and others", written.strip().rstrip(","))
    return re.sub(r"\s*(?:,? & |,? and |, )\s*", " and ", written)
