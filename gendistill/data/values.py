"""Settings that were given loosely, kept as a value that prints as code, compares and hashes."""

from __future__ import annotations

from pathlib import Path


def keep_plain(settings: object, *fields: str) -> None:
    """Rewrite these fields of a frozen dataclass while it is made: paths become text, and lists tuples."""
    for field in fields:
        object.__setattr__(settings, field, _plain(getattr(settings, field)))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value
