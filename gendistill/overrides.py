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
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gendistill.fields import construct, fields_of, fit, nearest
from gendistill.parts import named_values, parts
from gendistill.types import UserError

T = TypeVar("T")


class _NotAValue(Exception):
    """Source code that is neither a literal nor a part."""


def alter(value: T, path: str, new: object) -> T:
    """A copy of a frozen value in which the field at ``path`` is ``new``; every check of every part on the way runs again.

    ``path`` goes through fields by name and through tuples by position or by the class of the item, if there is one of
    it: "steering.1.cfg", "steering.-1.cfg", "steering.Sample.cfg".

    Raises:
        UserError: no such field or position, or ``new`` does not fit there.
    """
    if not path or "" in path.split("."):
        raise UserError(f"{path!r} names no field; write for example ipc, or steering.1.cfg")
    return _alter(value, path.split("."), new, type(value), "")


def override(value: T, text: str) -> T:
    """`alter` by a word of the command line, ``path=value``."""
    path, equals, new = text.partition("=")
    if not equals:
        raise UserError(f"{text!r} changes nothing; write path=value, for example ipc=10")
    return alter(value, path, read_value(new))


def read_value(text: str) -> Any:
    """What a text stands for: a Python literal, a part built from such (``Sample(steps=20, cfg=2.0)``), or the text itself.

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


def _alter(value: Any, path: list[str], new: object, hint: Any, where: str) -> Any:
    if not path:
        return fit(new, hint, where)
    head, rest = path[0], path[1:]
    name = type(value).__name__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = fields_of(type(value))
        if head not in names:
            shown = ", ".join(f"{field}={getattr(value, field)!r}" for field in names) or "none"
            whose = f"{where} (a {name})" if where else name
            raise UserError(f"{whose} has no field {head!r}{nearest(head, names)}\nits fields: {shown}")
        below = f"{where}.{head}" if where else head
        return dataclasses.replace(
            value, **{head: _alter(getattr(value, head), rest, new, get_type_hints(type(value))[head], below)}
        )
    if isinstance(value, tuple):
        at = _position(value, head, where)
        return (*value[:at], _alter(value[at], rest, new, _item_hint(hint, at), f"{where}.{at}"), *value[at + 1 :])
    raise UserError(f"{where} is {value!r}, which has no field {head!r}")


def _position(items: tuple, wanted: str, where: str) -> int:
    named = [type(item).__name__ for item in items]
    if re.fullmatch(r"-?\d+", wanted) and -len(items) <= int(wanted) < len(items):
        return int(wanted) % len(items)
    if named.count(wanted) == 1:
        return named.index(wanted)
    there = ", ".join(f"{i} {item!r}" for i, item in enumerate(items)) or "nothing"
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
            return {_read(key): _read(value) for key, value in zip(keys, values, strict=True) if key is not None}
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
    if name not in parts():
        raise UserError(f"there is no part {name!r}{nearest(name, parts())}\nparts: {', '.join(sorted(parts()))}")
    given = {}
    for word in keywords:
        if word.arg is None:
            raise _NotAValue(f"**{ast.unparse(word.value)}")
        if word.arg in given:
            raise UserError(f"{name} got {word.arg!r} twice")
        given[word.arg] = _read(word.value)
    return construct(parts()[name], [_read(arg) for arg in args], given)
