"""Settings that were given loosely, kept as a value that prints as code, compares and hashes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any


def keep_plain(settings: object, *fields: str) -> None:
    """Rewrite these fields of a frozen dataclass while it is made: paths become text, and lists tuples."""
    for field in fields:
        object.__setattr__(settings, field, _plain(getattr(settings, field)))


def with_tuples(value: Any) -> Any:
    """The value with tuples in the place of lists, in the settings it holds too, so that it hashes; itself where there are none."""
    if type(value) in (list, tuple):
        items = tuple(with_tuples(item) for item in value)
        same = type(value) is tuple and all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    frozen = getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
    if not frozen or isinstance(value, type):
        return value
    held = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    changed = {name: new for name, old in held.items() if (new := with_tuples(old)) is not old}
    return replace(value, **changed) if changed else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value
