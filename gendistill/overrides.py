"""Changing one field of a frozen value, and reading the new value from text.

    alter(recipe, "steering.1.cfg", 2.0)      a new recipe, checked as if it had been written that way
    read_value('LatentDiffusion("folder")')   what stands right of `=` on a command line; read with `ast`, never evaluated
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from gendistill import parts
from gendistill.fields import fit
from gendistill.types import UserError

T = TypeVar("T")


def nearest(name: str, names: Iterable[str]) -> str:
    """'; did you mean ...?' for the valid names nearest to a wrong one, or nothing if none is near."""
    known = {valid.lower(): valid for valid in names}
    near = [repr(known[found]) for found in difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(near)}?" if near else ""
