"""What benchmarks measured: rows in a JSON file, added to by any number of processes, so that each goes on where it was stopped.

A row is what an evaluation found and what its benchmark says of it beside: `gendistill compare` reads such a file, too.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from filelock import FileLock

from gendistill.evaluation.comparing.significance import paired, spell
from gendistill.evaluation.report import Row
from gendistill.formatting import spell_accuracy
from gendistill.system.environment import versions
from gendistill.system.store import write_json
from gendistill.types import Diverged, UserError

RESULTS = Path(__file__).parent / "results"


def read(file: Path) -> dict:
    """What was measured so far."""
    return json.loads(file.read_text()) if file.exists() else {"rows": [], "failed": {}}


@contextmanager
def updated(file: Path) -> Iterator[dict]:
    """What was measured so far, to be added to; several processes may share the work."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        state = read(file)
        yield state
        about = {"date": str(datetime.date.today()), "hardware": hardware(), "versions": versions()}
        write_json(file, state | about)


def settle(file: Path, **settings: object) -> None:
    """Say what all rows of a file are measured with.

    Raises:
        UserError: it has rows that were measured with something else.
    """
    with updated(file) as state:
        known = state.setdefault("settings", settings)
        if known != settings:
            differ = ", ".join(
                f"{name}={known.get(name)!r}, not {value!r}"
                for name, value in settings.items()
                if known.get(name) != value
            )
            raise UserError(
                f"{file.name} was measured with {differ}: give the same settings, or another name for the file"
            )


def entry(row: Row, **more: Any) -> dict[str, Any]:
    """A row as it is written down, and what its benchmark says of it; not accuracies by class, which no table here asks for."""
    told = {name: value for name, value in asdict(row).items() if name != "per_class" and value != {}}
    return told | more


def found(state: dict, **key: object) -> list[dict]:
    """The rows that say all of this."""
    return [row for row in state["rows"] if all(row.get(name) == value for name, value in key.items())]


def one(state: dict, **key: object) -> dict | None:
    """The first of them; None where there is none."""
    return next(iter(found(state, **key)), None)


def add(file: Path, title: str, key: dict[str, object], make: Callable[[], list[dict]]) -> None:
    """Measure the rows of this key, unless they are there. What cannot be made is written down under its title, with the reason."""
    if found(read(file), **key):
        return
    try:
        rows, error = [row | stamp() for row in make()], None
    except (Diverged, UserError) as wrong:
        rows, error = [], str(wrong)
    with updated(file) as state:
        if not found(state, **key):  # another process may have been faster
            state["rows"] += rows
        state["failed"].pop(title, None)
        if error:
            state["failed"][title] = error
    print(
        title,
        *([f"{row['labels']} {cell(row)}" if "labels" in row else row for row in rows] or [error]),
        sep="  ",
        flush=True,
    )


def cell(row: dict | None) -> str:
    """An accuracy for a table; "" where nothing was measured."""
    return "" if row is None else spell_accuracy(row["mean"], row["std"], row["n"])


def less(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How far accuracies are from others of the same seeds: "+1.2 in [+0.3, +2.1]", the t interval of the mean at 95 %."""
    if len(ours) != len(theirs) or len(ours) < 2:
        return f"{fmean(ours) - fmean(theirs):+.1f}"
    found = paired(ours, theirs)
    return f"{found.mean:+.1f} in {spell(found.t)}"


def failed(state: dict) -> list[str]:
    """What could not be made, as a list; nothing where there is none."""
    return ["Not made:\n\n" + "\n".join(f"- `{name}`: {why}" for name, why in state["failed"].items())] * bool(
        state["failed"]
    )


def about(state: dict) -> str:
    """When, on what and with what it was measured."""
    settings = [f"{name} {value}" for name, value in state.get("settings", {}).items()]
    whole = {"date": state["date"], "hardware": state["hardware"], "torch": state["versions"]["torch"]}
    rows = [whole | row for row in state["rows"] if not row.get("published")]
    on = Counter((row["date"], row["hardware"], f"torch {row['torch']}") for row in rows or [whole])
    told = [", ".join(place) + f" ({count} of {on.total()} rows)" * (len(on) > 1) for place, count in on.most_common()]
    return ", ".join(["; ".join(told), *settings])


def stamp() -> dict[str, str]:
    """When, on what and with what a row is measured."""
    return {"date": str(datetime.date.today()), "hardware": hardware(), "torch": torch.__version__.split("+")[0]}


def hardware() -> str:
    """What this runs on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return f"{os.cpu_count()} cores, {platform.machine()}, {gpu}"
