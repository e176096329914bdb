"""Does a value fit a field? Answered from the field's type annotation, with an error that says what would fit."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gendistill.config.parts import parts
from gendistill.types import UserError

PLAIN = {
    bool: "True or False", int: "a whole number", float: "a number", str: "a string", Path: "a path",
    type(None): "None", tuple: "a tuple", list: "a list", dict: "a dictionary",
}  # fmt: skip
NAMED = 12
"""An error names at most this many parts that would fit."""


class _Misfit(Exception):
    """The place below the field, the value found there and the annotation it does not fit."""


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the valid names nearest to a wrong one, or nothing if none is near."""
    known = {valid.lower(): valid for valid in names}
    near = [repr(known[found]) for found in difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def fields_of(cls: type) -> dict[str, dataclasses.Field]:
    """The fields one may set, by name, in order."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


def fit(value: object, hint: Any, where: str) -> Any:
    """``value`` as a field of this annotation holds it: whole numbers as floats, lists as tuples, strings as paths.

    Objects of other libraries (a loaded pipeline, a data set) are passed on: what takes them judges them.

    Raises:
        UserError: it does not fit; the message says what would.
    """
    try:
        return _fit(value, hint, where)
    except _Misfit as misfit:
        place, found, wanted = misfit.args
        raise UserError(f"{place} must be {in_words(wanted)}, not {found!r}{_advice(found, wanted)}") from None


def construct(cls: type, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
    """``cls(*args, **kwargs)`` for a part, every argument fitted to its field.

    Raises:
        UserError: a wrong, missing or repeated argument.
    """
    fields, hints, name = fields_of(cls), get_type_hints(cls), cls.__name__
    shown = ", ".join(fields) or "none"
    positional = [field.name for field in fields.values() if not field.kw_only]
    if len(args) > len(positional):
        order = f"only {', '.join(positional)} can be given" if positional else "none can be given"
        raise UserError(f"{name} got {len(args)} values without a name, {order}\nits fields: {shown}")
    given = dict(zip(positional, args, strict=False))
    for key, value in kwargs.items():
        if key not in fields:
            raise UserError(f"{name} has no field {key!r}{nearest(key, fields)}\nits fields: {shown}")
        if key in given:
            raise UserError(f"{name} got {key!r} twice")
        given[key] = value
    missing = [key for key, field in fields.items() if key not in given and _required(field)]
    if missing:
        raise UserError(f"{name} needs {', '.join(missing)}\nits fields: {shown}")
    return cls(**{key: fit(value, hints[key], f"{name}.{key}") for key, value in given.items()})


def in_words(hint: Any) -> str:
    """An annotation as a reader who never saw the code would say it."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(arm) for arm in args))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return f"a tuple, each item {in_words(args[0])}"
    if origin is tuple:
        return f"a tuple of {len(args)}: {', '.join(in_words(arm) for arm in args)}"
    if origin is not None:
        return in_words(origin)
    names = fitting(hint)
    shown = f" ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})" if names else ""
    return f"a {getattr(hint, '__name__', hint)}{shown}"


def arms(hint: Any) -> tuple[Any, ...]:
    """What an annotation allows, one by one."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def fitting(hint: Any) -> list[str]:
    """Names of the parts that fit an annotation, sorted."""
    allowed = get_args(hint) if get_origin(hint) is tuple else arms(hint)
    return sorted(
        {name for arm in allowed if isinstance(arm, type) and arm not in PLAIN and arm is not object
         for name, part in parts().items() if _has_members(part, arm)}
    )  # fmt: skip


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _advice(value: object, hint: Any) -> str:
    if isinstance(value, str):
        return nearest(value.split("(")[0], fitting(hint))
    if str in (hint, *get_args(hint)):
        return f"; if you mean the string, quote it: '\"{value}\"'"
    return ""


def _has_members(cls: type, wanted: type) -> bool:
    """Whether instances of ``cls`` are ``wanted``; a protocol asks for its methods by name."""
    if getattr(wanted, "_is_protocol", False):
        names = [name for name in {**vars(wanted), **wanted.__annotations__} if not name.startswith("_")]
        return all(hasattr(cls, name) for name in names)
    return issubclass(cls, wanted)


def _fit(value: object, hint: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object or isinstance(hint, TypeVar):
        return value
    if origin in (Union, types.UnionType):
        return _fit_union(value, hint, where)
    if origin is Literal:
        return _require(any(value == choice and type(value) is type(choice) for choice in args), value, hint, where)
    if origin in (tuple, list, Sequence) or hint in (tuple, list):
        return _fit_items(value, hint, where)
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_require(fits, value, hint, where))
    if hint is int:
        return _require(isinstance(value, int) and not isinstance(value, bool), value, hint, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    wanted = origin or hint
    if not isinstance(wanted, type):
        return value
    return _require(_foreign(value, wanted) or _has_members(type(value), wanted), value, hint, where)


def _fit_union(value: object, hint: Any, where: str) -> Any:
    fitted = []
    for arm in get_args(hint):
        try:
            fitted.append(_fit(value, arm, where))
        except _Misfit:
            continue
    _require(bool(fitted), value, hint, where)
    return next((one for one in fitted if one is value), fitted[0])


def _fit_items(value: object, hint: Any, where: str) -> tuple:
    _require(isinstance(value, tuple | list), value, hint, where)
    items, args = tuple(value), get_args(hint)  # pyright: ignore[reportArgumentType]
    if not args:
        return items
    if get_origin(hint) is not tuple or args[-1] is Ellipsis:
        args = (args[0],) * len(items)
    _require(len(items) == len(args), value, hint, where)
    return tuple(_fit(item, arm, f"{where}.{i}") for i, (item, arm) in enumerate(zip(items, args, strict=True)))


def _foreign(value: object, wanted: type) -> bool:
    """Whether this is an object of another library, given where a part or a name of one is expected."""
    return (
        wanted not in PLAIN and not isinstance(value, (*PLAIN, complex, bytes)) and not dataclasses.is_dataclass(value)
    )


def _require(fits: bool, value: Any, hint: Any, where: str) -> Any:
    if not fits:
        raise _Misfit(where, value, hint)
    return value
