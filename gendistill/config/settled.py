"""Settings in the form in which their text gives them back: what is equal prints alike, and what was kept by it is found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gendistill.config.fields import arms, in_words, nearest
from gendistill.config.parts import is_settings
from gendistill.types import UserError


def settled(value: Any, hint: Any = Any) -> Any:
    """The value with tuples in place of lists, and floats where fields are floats, in all settings inside; itself where it is so.

    Args:
        value: settings, or what stands in a field of some.
        hint: the annotation of that field.

    Raises:
        UserError: a number is not finite, or a choice none that its field offers.
    """
    if type(value) in (list, tuple):
        items = tuple(settled(item, wanted) for item, wanted in zip(value, items_of(hint, len(value)), strict=True))
        same = type(value) is tuple and all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    if type(value) is int and float in arms(hint) and int not in arms(hint):
        return float(value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type) or not is_settings(type(value)):
        return value
    check_choices(value)
    check_finite(value)
    hints = hints_of(type(value))
    held = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.init}
    changed = {name: new for name, old in held.items() if (new := settled(old, hints.get(name, Any))) is not old}
    return dataclasses.replace(value, **changed) if changed else value


def check_choices(settings: object) -> None:
    """Refuse what a field does not offer that offers words or numbers to choose from.

    Raises:
        UserError: it is none of them; the message says which there are.
    """
    for name, hint in hints_of(type(settings)).items():
        offered = [choice for arm in arms(hint) if get_origin(arm) is Literal for choice in get_args(arm)]
        given = getattr(settings, name, None)
        free = any(get_origin(arm) is not Literal and arm is not type(None) for arm in arms(hint))
        if offered and not free and given is not None and given not in offered:
            near = nearest(given, [one for one in offered if isinstance(one, str)]) if isinstance(given, str) else ""
            raise UserError(f"{type(settings).__name__}.{name} must be {in_words(hint)}, not {given!r}{near}")


def check_finite(settings: Any) -> None:
    """Refuse numbers in the fields of settings that are not finite: comparisons let NaN pass.

    Raises:
        UserError: one is not.
    """
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name)
        if not all(math.isfinite(one) for one in numbers_in(given)):
            raise UserError(f"{type(settings).__name__}({field.name}={given}): give finite numbers")


@cache
def hints_of(kind: type) -> Mapping[str, Any]:
    """The annotations of a class; none where they name what is not there."""
    try:
        return get_type_hints(kind)
    except NameError:
        return {}


def items_of(hint: Any, count: int) -> tuple[Any, ...]:
    """The annotations of so many items, by that of the tuple they are in."""
    for arm in arms(hint):
        inner = get_args(arm)
        if get_origin(arm) is tuple and len(inner) == 2 and inner[1] is Ellipsis:
            return (inner[0],) * count
        if get_origin(arm) is tuple and len(inner) == count:
            return inner
    return (Any,) * count


def numbers_in(given: object) -> Iterator[float]:
    """A number that is no integer, or those in tuples and lists, however deep."""
    if isinstance(given, tuple | list):
        for one in given:
            yield from numbers_in(one)
    elif isinstance(given, Real) and not isinstance(given, Integral):
        yield float(given)
