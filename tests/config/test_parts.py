"""Parts are found by walking folders: the real ones, and the rules for new ones."""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from typing import get_type_hints

import pytest

from gendistill.config import parts as module
from gendistill.config.overrides import read_value
from gendistill.config.parts import defined, named_values, parts
from gendistill.types import UserError


@dataclass(frozen=True)
class Public:
    number: int = 1


@dataclass(frozen=True)
class _Private:
    number: int = 1


@dataclass
class Mutable:
    number: int = 1


class Plain:
    pass


def holding(name: str, *classes: type) -> types.ModuleType:
    made = types.ModuleType(name)
    for cls in classes:
        copy = type(cls.__name__, (cls,), {"__module__": name})
        setattr(made, cls.__name__, dataclass(frozen=True)(copy) if cls in (Public, _Private) else copy)
    return made


def test_only_public_frozen_dataclasses_defined_there_are_parts():
    made = holding("made", Public, _Private, Mutable, Plain)
    vars(made)["Imported"] = Public
    assert list(defined(made)) == ["Public"]


def test_two_parts_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(module, "modules", lambda: [holding("first", Public), holding("second", Public)])
    with pytest.raises(TypeError, match="two parts are called Public: first and second"):
        parts.__wrapped__()


def test_the_real_parts_are_found():
    found = parts()
    for name in (
        "Recipe",
        "Folder",
        "Parquet",
        "LatentDiffusion",
        "Pixels",
        "Sample",
        "Start",
        "Hard",
        "ConvNet",
        "Training",
    ):
        assert found[name].__name__ == name
    assert not any(name.startswith("_") for name in found)


@pytest.mark.parametrize("name", sorted(parts()))
def test_a_part_can_be_overridden_and_read_back(name):
    cls = parts()[name]
    hints = get_type_hints(cls)
    assert all(field.name in hints for field in dataclasses.fields(cls))
    try:
        made = cls()
    except (TypeError, UserError):
        return  # it cannot be made without saying more
    assert read_value(repr(made)) == made


def test_named_values_are_parts():
    assert {"MATCHING", "SCREENING"} <= set(named_values())
    assert all(type(value) in parts().values() for value in named_values().values())
