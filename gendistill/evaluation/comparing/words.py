"""How a comparison speaks: of sizes, of trainings that differ, and of many intervals read at once."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from gendistill.evaluation.comparing.result import Result


def spell_size(one: Result) -> str:
    """Pictures per class, in words."""
    return "whole sets" if one.ipc is None else f"IPC {one.ipc}"


def several(count: int) -> str:
    """A warning where so many intervals are read at once that one of them may leave out 0 by chance."""
    return (
        ""
        if count < 5
        else f" (of {count} such intervals about {max(1, round(count / 20))} may leave out 0 by chance alone)"
    )


def differing(training: str, others: Sequence[str]) -> str:
    """The settings of a training that are not those of all the others, in words."""
    mine, theirs = settings(training), [settings(other) for other in others if other]
    told = [f"{name}={value}" for name, value in mine.items() if any(other.get(name) != value for other in theirs)]
    return ", ".join(told) or ("it is not stated" if not training else "it is another")


def settings(code: str) -> Mapping[str, str]:
    """The fields of a printed value, name -> code; empty where it is no such thing."""
    try:
        value = ast.parse(code, mode="eval").body
    except SyntaxError:
        return {}
    return {one.arg: ast.unparse(one.value) for one in value.keywords if one.arg} if isinstance(value, ast.Call) else {}
