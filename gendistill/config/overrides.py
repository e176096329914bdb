"""Changing one field of a frozen value, and reading the new value from text.

alter(recipe, "steering.1.cfg", 2.0)      a new recipe, checked as if it had been written that way
read_value('LatentDiffusion("folder")')   what stands right of `=` on a command line; read with `ast`, never evaluated
"""

from __future__ import annotations

import ast
import dataclasses
import re
import types
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gendistill.config.fields import construct, fields_of, fit, nearest
from gendistill.config.parts import named_values, parts
from gendistill.types import UserError

T = TypeVar("T")
P = TypeVar("P")
Changes = list[tuple[list[str], object]]
"""Paths below some place, and what is to stand there."""
BRIEF = 60
"""Characters of a value that an error shows whole."""


class _NotAValue(Exception):
    """Source code that is neither a literal nor a part."""


def alter(value: T, path: str, new: object) -> T:
    """A copy of a frozen value with ``new`` in the field at ``path``; the checks of every part on the way run again.

    ``path`` goes through fields by name and through tuples by position or by the class of the item, if there is one of
    it: "steering.1.cfg", "steering.-1.cfg", "steering.Sample.cfg".

    Raises:
        UserError: no such field or position, or ``new`` does not fit there.
    """
    return alter_all(value, [(path, new)])


def alter_all(value: T, changes: Iterable[tuple[str, object]]) -> T:
    """`alter` for several fields at once: what they are together is checked, not what they are on the way."""
    steps = []
    for path, new in changes:
        if "" in path.split("."):
            raise UserError(f"{path!r} names no field; write for example ipc, or steering.1.cfg")
        steps.append((path.split("."), new))
    return _alter(value, steps, type(value), "")


def override(recipe: T, protocol: P, words: Iterable[str]) -> tuple[T, P]:
    """Both after the changes of a command line: ``path=value`` is the recipe's, ``protocol.path=value`` the protocol's.

    Raises:
        UserError: a word is no change, or the change does not fit.
    """
    ours, theirs = [], []
    for word in words:
        path, new = read_change(word)
        head, _, rest = path.partition(".")
        if head == "protocol" and not rest:
            protocol, theirs = fit(new, type(protocol), path), []
        elif head == "protocol":
            theirs.append((rest, new))
        elif head in fields_of(type(protocol)) and head not in fields_of(type(recipe)):
            raise UserError(f"{head!r} is a field of the protocol; write protocol.{word}")
        else:
            ours.append((path, new))
    return alter_all(recipe, ours), alter_all(protocol, theirs)


def read_change(word: str) -> tuple[str, Any]:
    """The path and the value of a word ``path=value``.

    Raises:
        UserError: there is no ``=`` in it, or the value cannot be read.
    """
    path, equals, text = word.partition("=")
    if not equals:
        raise UserError(f"{word!r} changes nothing; write path=value, for example ipc=10")
    return path, read_value(text)


def read_value(text: str) -> Any:
    """What a text stands for: a Python literal, a part built from such (``Sample(cfg=2.0)``), or the text itself.

    The name of a part alone is that part with its defaults, and an upper-case name defined beside the parts is what it
    is there (a protocol of the field). All other words and whatever is no Python are strings: paths and hub ids need no
    quotes of their own.

    Raises:
        UserError: a call of something that is no part, or arguments that do not fit the part.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" and the like: the text is a value, not code to be improved
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    try:
        return _read(tree)
    except _NotAValue as wrong:
        listed = isinstance(tree, ast.Tuple | ast.List) and any(isinstance(item, ast.Call) for item in tree.elts)
        if not isinstance(tree, ast.Call) and not listed:
            return text
        raise UserError(
            f"in {text}: {wrong} is neither a literal nor a part with literals inside; quote it if it is a string"
        ) from None


def _alter(value: Any, changes: Changes, hint: Any, where: str) -> Any:
    """``value`` with all changes at and below this place; a change of the whole replaces the changes before it."""
    whole = [i for i, (path, _) in enumerate(changes) if not path]
    if whole:
        value, changes = fit(changes[whole[-1]][1], hint, where), changes[whole[-1] + 1 :]
    if not changes:
        return value
    if isinstance(value, tuple):
        below = _grouped((_position(value, path[0], where), path[1:], new) for path, new in changes)
        items = list(value)
        for at, inner in below.items():
            items[at] = _alter(items[at], inner, _item_hint(hint, at), f"{where}.{at}")
        return tuple(items)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise UserError(f"{where} is {brief(value)}, which has no field {changes[0][0][0]!r}")
    below = _grouped((path[0], path[1:], new) for path, new in changes)
    hints = get_type_hints(type(value))
    for head in below:
        _check_field(value, head, where)
    found = {
        head: _alter(getattr(value, head), inner, hints[head], f"{where}.{head}" if where else head)
        for head, inner in below.items()
    }
    return dataclasses.replace(value, **found)


def _grouped(changes: Iterable[tuple[Any, list[str], object]]) -> dict[Any, Changes]:
    """Changes by the field or position they go through, in order."""
    found: dict[Any, Changes] = {}
    for head, rest, new in changes:
        found.setdefault(head, []).append((rest, new))
    return found


def _check_field(value: Any, name: str, where: str) -> None:
    names = fields_of(type(value))
    if name not in names:
        shown = ", ".join(f"{field}={brief(getattr(value, field))}" for field in names) or "none"
        whose = f"{where} (a {type(value).__name__})" if where else type(value).__name__
        raise UserError(f"{whose} has no field {name!r}{nearest(name, names)}\nits fields: {shown}")


def brief(value: object) -> str:
    """The code of a value, for an error; of a part with many settings its kind alone."""
    text = repr(value)
    if len(text) <= BRIEF:
        return text
    return f"({', '.join(map(brief, value))})" if isinstance(value, tuple) else f"{type(value).__name__}(...)"


def _position(items: tuple, wanted: str, where: str) -> int:
    named = [type(item).__name__ for item in items]
    if re.fullmatch(r"-?\d+", wanted) and -len(items) <= int(wanted) < len(items):
        return int(wanted) % len(items)
    if named.count(wanted) == 1:
        return named.index(wanted)
    there = ", ".join(f"{i} {brief(item)}" for i, item in enumerate(items)) or "nothing"
    if named.count(wanted) > 1:
        raise UserError(f"{where} has {named.count(wanted)} items {wanted}, say which by position\nthere: {there}")
    raise UserError(f"{where} has no item {wanted!r}{nearest(wanted, named)}\nthere: {there}")


def _item_hint(hint: Any, at: int) -> Any:
    """The annotation of one item of a tuple, as far as the annotation of the tuple says it."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next((arm for arm in get_args(hint) if get_origin(arm) is tuple), Any)
    args = get_args(hint)
    if get_origin(hint) is not tuple or not args:
        return Any
    return args[0] if args[-1] is Ellipsis else args[at]


def _read(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.UnaryOp(op=ast.UAdd(), operand=ast.Constant(value=int() | float() as value)):
            return +value
        case ast.Tuple(elts=items):
            return tuple(_read(item) for item in items)
        case ast.List(elts=items):
            return [_read(item) for item in items]
        case ast.Dict(keys=keys, values=values) if all(keys):
            pairs = [(_read(key), _read(value)) for key, value in zip(keys, values, strict=True) if key is not None]
            try:
                return dict(pairs)
            except TypeError:  # a list or a dictionary as a key
                raise _NotAValue(ast.unparse(node)) from None
        case ast.Name(id=name):
            return _word(name)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return _call(name, args, keywords)
    raise _NotAValue(ast.unparse(node))


def _word(name: str) -> Any:
    if not name[0].isupper():
        return name
    if name in parts():
        return construct(parts()[name], (), {})
    return named_values().get(name, name)


def _call(name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
    if name in ("Path", "PosixPath", "WindowsPath") and not keywords:
        texts = [_read(arg) for arg in args]
        if not all(isinstance(text, str | Path) for text in texts):
            raise UserError(f"{name} takes strings, not {', '.join(map(repr, texts))}")
        return Path(*texts)
    if name not in parts():
        known = nearest(name, parts()) or f"\nparts: {', '.join(sorted(parts()))}"
        raise UserError(f"there is no part {name!r}{known}")
    given = {}
    for word in keywords:
        if word.arg is None:
            raise _NotAValue(f"**{ast.unparse(word.value)}")
        if word.arg in given:
            raise UserError(f"{name} got {word.arg!r} twice")
        given[word.arg] = _read(word.value)
    return construct(parts()[name], [_read(arg) for arg in args], given)
