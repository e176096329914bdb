"""The folder of a whole run: whose it is, and what is noted in it.

recipe.py      the recipe and protocol as code        run.json       what the run is, versions, seconds per stage
sets/seed-N/   the distilled sets, shard by shard     metrics.json   every measured accuracy
dataset/       the first set, for `load_dataset`      report.html    all of it, to look at
run.log        what was said                          log.jsonl      the same, for programs

Whose a folder is, is told by what is in it: a run has recipe.py and run.json. One that is overwritten is moved aside first, into
.old.part, so that a kill leaves a run or none.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendistill.system import ranks
from gendistill.system.environment import versions
from gendistill.system.locks import LOCK, standing
from gendistill.system.store import clear_parts, read_json, write_json, write_text
from gendistill.types import UserError

FILES = {"recipe.py", "run.json", "sets", "dataset", "metrics.json", "report.html", "run.log", "log.jsonl"}
"""All that a run writes."""
OLD = ".old.part"
"""Where a run is moved that is overwritten."""
PASSING = re.compile(
    rf"{re.escape(LOCK)}\d+|{re.escape(OLD)}|\.({'|'.join(map(re.escape, sorted(FILES)))})\.(.*\.)?part"
)
"""Locks, and what a killed run left half-written."""


def look_at(folder: Path, text: str, resume: bool, overwrite: bool, **arithmetic: str) -> None:
    """Refuse a directory that this run may not have.

    Raises:
        UserError: it holds another run, or something that is no run, or nobody said what to do with the run it holds.
    """
    if resume and overwrite:
        raise UserError("--resume goes on with a run and --overwrite removes it; give one of them")
    if not (place := standing(folder)).is_dir():
        found = "a link to nothing" if place.is_symlink() and not place.exists() else "a file"
        raise UserError(f"{place} is {found}; --out needs a directory")
    there = {path.name for path in folder.iterdir() if not PASSING.fullmatch(path.name)} if folder.exists() else set()
    strange = sorted(there - FILES)
    written = said(folder / "recipe.py")
    if not there or (there == {"recipe.py"} and written == text) or ((folder / OLD).exists() and not strange):
        return
    try:
        about = json.loads(said(folder / "run.json"))
    except ValueError:
        about = None
    if not written or not isinstance(about, dict) or not {"seconds", "versions"} <= about.keys():
        raise UserError(
            f"{folder} is not empty and holds no run of gendistill; nothing was touched, choose another --out"
        )
    if overwrite and strange:
        raise UserError(
            f"{folder} holds a run and something that no run wrote ({', '.join(strange[:3])}); nothing was touched, move that "
            "away or choose another --out"
        )
    if overwrite:
        return
    if not resume:
        raise UserError(
            f"{folder} holds a run already; go on with it by --resume, remove it by --overwrite, or choose another --out"
        )
    if written != text:
        changed = [
            line
            for line in difflib.unified_diff(written.splitlines(), text.splitlines(), lineterm="", n=0)
            if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        same = recipe_in(written) == recipe_in(text)
        raise UserError(
            f"{folder} belongs to another {'protocol' if same else 'recipe'}; it differs in\n  "
            + "\n  ".join(changed[:8])
            + (
                f"\nits sets are the same: `gendistill evaluate {folder} --protocol ...` judges them by another"
                if same
                else ""
            )
            + "\nchoose another --out, or remove it by --overwrite"
        )
    other = [name for name in arithmetic if kind(about.get(name, arithmetic[name])) != kind(arithmetic[name])]
    if other:
        raise UserError(
            f"{folder} was begun with {' '.join(f'--{name} {kind(about[name])}' for name in other)}, and its pictures follow from "
            "that too; give the same, choose another --out, or remove it by --overwrite"
        )


def recipe_in(text: str) -> str:
    """What a pipeline file says of the recipe alone."""
    return text.partition("\nrecipe = ")[2].partition("\nprotocol = ")[0]


def said(file: Path) -> str:
    """The text of a file; none where there is no file."""
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def kind(device: str) -> str:
    """Which of several devices of a kind a run works on changes nothing: "cuda" of "cuda:1". A dtype is of its own kind."""
    return device.partition(":")[0]


def begin(folder: Path, text: str, overwrite: bool, **entries: str) -> None:
    """Write what the run is, first of all; a run that is resumed keeps what it was begun with."""
    if overwrite or (folder / OLD).exists():
        remove(folder)
    clear_parts(folder)
    if not (folder / "run.json").exists():
        write_text(folder / "recipe.py", text)
        note(folder, versions=versions(), **entries)


def remove(folder: Path) -> None:
    """Remove the run in a directory, which stays, with its lock. Where this is killed, the next run goes on with it."""
    old = folder / OLD
    old.mkdir(exist_ok=True)
    for path in list(folder.iterdir()):
        if path.name in FILES:
            path.rename(old / path.name)
    shutil.rmtree(old)


def note(folder: Path, **entries: object) -> None:
    """Add entries to run.json."""
    file = folder / "run.json"
    about = read_json(file) if file.exists() else {"seconds": {}}
    write_json(file, {**about, **entries})


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds of a stage to run.json; a stage that was killed adds what its later part takes."""
    started = time.monotonic()
    yield
    if ranks.first():
        seconds = read_json(folder / "run.json")["seconds"]
        seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - started, 3)
        note(folder, seconds=seconds)
