"""Which parts there are, found by walking the folders of roles: a new part there is one new file and no other edit."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

FOLDERS = ("data", "views", "nets", "priors", "anchors", "objectives", "steering", "labelers", "labelers.codecs")
FILES = (
    "prompts", "learning.schedules", "learning.label_losses", "learning.training", "recipe", "evaluation.metrics.attacks",
    "evaluation.metrics.stress", "evaluation.protocol", "evaluation.protocols", "evaluation.timm_protocols",
)  # fmt: skip


def modules() -> Iterator[ModuleType]:
    """Every module that may define parts, imported."""
    for folder in FOLDERS:
        package = importlib.import_module(f"gendistill.{folder}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
            yield importlib.import_module(f"gendistill.{folder}.{found.name}")
    for file in FILES:
        yield importlib.import_module(f"gendistill.{file}")


def defined(module: ModuleType) -> dict[str, type]:
    """The public settings of a module: frozen dataclasses written there, not merely imported there."""
    return {
        name: item
        for name, item in vars(module).items()
        if inspect.isclass(item)
        and item.__module__ == module.__name__
        and not name.startswith("_")
        and is_settings(item)
    }


def is_settings(item: type) -> bool:
    """Whether this class is a frozen dataclass one can make: a value that prints, compares and hashes."""
    frozen = dataclasses.is_dataclass(item) and item.__dataclass_params__.frozen  # pyright: ignore
    return frozen and not inspect.isabstract(item)


def inside(value: object) -> Iterator[Any]:
    """All settings in a value: it, and what stands in its fields and in tuples, the outer before the inner."""
    if isinstance(value, tuple):
        for item in value:
            yield from inside(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for one in dataclasses.fields(value):
            yield from inside(getattr(value, one.name))


@cache
def parts() -> dict[str, type]:
    """Every part by the name of its class. Imports all of them, which takes seconds the first time."""
    found: dict[str, type] = {}
    for module in modules():
        for name, part in defined(module).items():
            if name in found:
                raise TypeError(
                    f"two parts are called {name}: {found[name].__module__} and {module.__name__}; rename one"
                )
            found[name] = part
    return found


@cache
def named_values() -> dict[str, object]:
    """Settings that have a name of their own, such as a protocol of the field: upper-case names bound to a part."""
    return {
        name: value
        for module in modules()
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and type(value) in parts().values()
    }
