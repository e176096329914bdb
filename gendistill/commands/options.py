"""Command-line options that follow from a dataclass, read from its source: help does not wait for what that imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

METAVARS = {"int": "INTEGER", "float": "NUMBER", "str": "TEXT", "Path": "PATH"}


@dataclass(frozen=True)
class Setting:
    """One field: its name, its annotation and default as written (None where it has none), and what it means."""

    name: str
    annotation: str
    default: str | None
    meaning: str

    @property
    def arms(self) -> list[str]:
        """The kinds the annotation allows, None left out."""
        return [arm.strip() for arm in self.annotation.split("|") if arm.strip() != "None"]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a Literal annotation."""
        return tuple(re.findall(r"['\"]([^'\"]*)['\"]", self.annotation)) if "Literal[" in self.annotation else ()


def settings_of(source: Path, name: str) -> list[Setting]:
    """The fields of the dataclass ``name`` in a source file, with the meanings its docstring's table gives them."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    cls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    meanings = _meanings(ast.get_docstring(cls) or "")
    return [
        Setting(
            node.target.id,
            ast.unparse(node.annotation),
            None if node.value is None else ast.unparse(node.value),
            meanings.get(node.target.id, ""),
        )
        for node in cls.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
    ]


def merged(families: Mapping[str, list[Setting]]) -> list[Setting]:
    """The settings of all families of a command, each name once; one that not all have, or that differs, says whose it is."""
    found: dict[str, Setting] = {}
    for family, settings in families.items():
        for setting in settings:
            whose = [name for name, others in families.items() if setting.name in {one.name for one in others}]
            known = found.get(setting.name)
            if known is None:
                alone = "" if len(whose) == len(families) else f"{', '.join(whose)}: "
                found[setting.name] = replace(setting, meaning=alone + setting.meaning)
            else:
                default = "by the rule" if setting.default == "None" else f"{setting.default} by default"
                pairs = ((known.meaning, setting.meaning, setting.meaning), (known.default, setting.default, default))
                told = ", ".join(said for before, now, said in pairs if before != now)
                if told:
                    found[setting.name] = replace(known, meaning=f"{known.meaning} ({family}: {told})")
    return list(found.values())


def options_of(settings: list[Setting]) -> Callable[[Callable], Callable]:
    """A decorator that gives a command one option per setting; the command receives the words, None where not given."""

    def decorate(command: Callable) -> Callable:
        for setting in reversed(settings):
            command = _option(setting)(command)
        return command

    return decorate


def given_settings(settings: list[Setting], words: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line, read; the others keep the defaults of the dataclass."""
    from gendistill.config.overrides import read_value

    found: dict[str, Any] = {}
    for setting in settings:
        word = words.get(setting.name)
        if isinstance(word, bool) or (word is not None and (setting.choices or set(setting.arms) <= {"str", "Path"})):
            found[setting.name] = word
        elif word is not None:
            found[setting.name] = read_value(word)
    return found


def _option(setting: Setting) -> Callable[[Callable], Callable]:
    default = "" if setting.default in (None, "None", "False") else f"  [default: {setting.default}]".replace("'", "")
    meaning = setting.meaning.replace("``", "").rstrip(" .")
    about = f"{meaning[:1].upper()}{meaning[1:]}.{default}" if meaning else default.strip()
    if setting.arms == ["bool"]:
        return click.option(f"--{setting.name}/--no_{setting.name}", default=None, help=about)
    return click.option(
        f"--{setting.name}",
        required=setting.default is None,
        type=click.Choice(setting.choices) if setting.choices else str,
        metavar=None if setting.choices else METAVARS.get(setting.arms[0], "VALUE"),
        help=about,
    )


def _meanings(docstring: str) -> dict[str, str]:
    """``name  meaning`` lines; lines indented further go on with the meaning above."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in docstring.splitlines():
        row = re.match(r"(\w+(?:, \w+)*)  +(\S.*)", line)
        if row:
            names = row[1].split(", ")
            found.update(dict.fromkeys(names, row[2].strip()))
        elif names and line.startswith("  "):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
        else:
            names = []
    return found
