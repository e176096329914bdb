"""A whole run in one directory: distil, compare, evaluate, export, report. Every stage resumes where it was killed.

recipe.py      the recipe and protocol as code        run.json       what the run is, versions, seconds per stage
sets/seed-N/   the distilled sets, shard by shard     metrics.json   every measured accuracy
dataset/       the first set, for `load_dataset`      report.html    all of it, to look at
run.log        what was said                          log.jsonl      the same, for programs

Whose a directory is, is told by what is in it: a run has recipe.py and run.json. One that is overwritten is moved aside first, into
.old.part, so that a kill leaves a run or none.
"""

from __future__ import annotations

import difflib
import inspect
import json
import logging
import pprint
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gendistill import ranks
from gendistill.distilled import Distilled
from gendistill.environment import versions
from gendistill.evaluation.evaluate import check_held_out, check_judges, make_baselines, measure
from gendistill.evaluation.keep import merged
from gendistill.evaluation.page import page
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Report
from gendistill.export import export
from gendistill.locks import LOCK, alone, standing
from gendistill.parts import inside
from gendistill.pipeline import MODULE
from gendistill.progress import progress as show
from gendistill.provenance import Provenance
from gendistill.recipe import Recipe
from gendistill.runs import check_data, check_room, distill, open_context
from gendistill.store import clear_parts, out_of_space, write_json, write_text
from gendistill.types import UserError

log = logging.getLogger("gendistill")
FILES = {"recipe.py", "run.json", "sets", "dataset", "metrics.json", "report.html", "run.log", "log.jsonl"}
"""All that a run writes."""
OLD = ".old.part"
"""Where a run is moved that is overwritten."""
PASSING = re.compile(
    rf"{re.escape(LOCK)}\d+|{re.escape(OLD)}|\.({'|'.join(map(re.escape, sorted(FILES)))})\.(.*\.)?part"
)
"""Locks, and what a killed run left half-written."""
STATED = "# What was run:\n"
"""Stands between the parts that a pipeline defined and the recipe that was made of them."""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    report: Report


def run(
    recipe: Recipe,
    protocol: Protocol,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
    command: str = "",
    progress: Callable[..., Iterable] = show,
) -> Run:
    """Distil by ``recipe`` into the directory ``out``, judge it by ``protocol``, and leave a dataset and a report there.

    Where the real data are names of classes without a picture, nothing is compared or judged.

    Args:
        recipe: what to do; its seed is that of the first set.
        protocol: how many sets, which student, trained how.
        out: the run directory.
        resume: go on with a run that is there.
        overwrite: remove a run that is there, and only a run.
        device: where to compute.
        dtype: of the denoiser.
        command: what the user typed, for the report.
        progress: wraps iterables to show how far they are.

    Raises:
        UserError: anything the user has to mend, found before anything is written where that is possible.
    """
    folder, arithmetic = Path(out), {"device": device, "dtype": dtype}
    text = spell(recipe, protocol)
    look_at(folder, text, resume, overwrite, **arithmetic)
    data = recipe.real.open()
    check_data(data, recipe)
    recipe.prior.check(data)
    if len(data.train):
        check_held_out(data)
        check_judges(protocol, data)
    finished = 0 if overwrite else sum((place / "set.json").exists() for _, place in sets(recipe, protocol, folder))
    if finished < protocol.sets:
        check_room(recipe, data, folder, protocol.sets - finished)
    ranks.wait()  # all have looked before anyone writes
    with alone(folder):
        if ranks.first():
            look_at(folder, text, resume, overwrite, **arithmetic)  # another process may have been here since
            with out_of_space(folder):
                begin(folder, text, overwrite, command=command or " ".join(sys.argv), **arithmetic)
        ranks.wait()
        with logged(folder):
            return work(recipe, protocol, folder, text, torch.device(device), getattr(torch, dtype), progress)


def sets(recipe: Recipe, protocol: Protocol, folder: Path) -> list[tuple[Recipe, Path]]:
    """The recipe of every set, and where it lies."""
    seeds = range(recipe.seed, recipe.seed + protocol.sets)
    return [(replace(recipe, seed=seed), folder / "sets" / f"seed-{seed}") for seed in seeds]


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


def work(
    recipe: Recipe,
    protocol: Protocol,
    folder: Path,
    text: str,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[..., Iterable],
) -> Run:
    """All stages in a directory that is ours."""
    with timed(folder, "prior and data"):
        context = open_context(recipe, device, dtype, progress)
    with timed(folder, "distil"):
        log.info("distil: %d sets of %d pictures", protocol.sets, recipe.ipc * len(context.real.classes))
        made = [distill(one, place, context=context, device=device) for one, place in sets(recipe, protocol, folder)]
    report = Report([])
    if len(context.real.train):
        with timed(folder, "compared sets"):
            others = make_baselines(recipe, protocol, context)
        if ranks.first():
            with timed(folder, "evaluate"):
                report = measure({"distilled": made, **others}, protocol, context, same_bytes=True)
    return publish(folder, made[0], report, text) if ranks.first() else Run(folder, report)


def publish(folder: Path, distilled: Distilled, report: Report, text: str) -> Run:
    """Write metrics, dataset and report; what `gendistill evaluate` found since stays among the metrics."""
    metrics = folder / "metrics.json"
    if metrics.exists():
        report = merged(Report.from_json(json.loads(metrics.read_text(encoding="utf-8"))), report)
    about = json.loads((folder / "run.json").read_text())
    origin = Provenance(**{**distilled.origin, "command": about["command"]})
    with timed(folder, "export"):
        note(folder, provenance=origin)
        export(distilled, folder / "dataset", report=report, provenance=origin)
    about = json.loads((folder / "run.json").read_text())
    report = replace(report, seconds=about["seconds"])
    write_json(metrics, report.to_json())
    page(
        distilled,
        report,
        path=folder / "report.html",
        command=about["command"],
        recipe_text=text,
        seconds=about["seconds"],
        byte_sizes=distilled.sizes,
        provenance=origin,
        versions=about["versions"],
    )
    return Run(folder, report)


def spell(recipe: Recipe, protocol: Protocol) -> str:
    """The recipe and the protocol as a pipeline file: ``gendistill run DIR/recipe.py`` is the same run again.

    Of a pipeline that defines parts of its own all is written down, for nobody could import them from elsewhere.
    """
    homes = sorted({(type(one).__module__, type(one).__name__) for one in inside((recipe, protocol))})
    own = sorted({module for module, _ in homes if module.startswith(MODULE)})
    sources = "".join(inspect.getsource(sys.modules[module]).partition(STATED)[0].rstrip() + "\n\n\n" for module in own)
    imports = "".join(f"from {module} import {name}\n" for module, name in homes if module not in own)
    values = {"recipe": recipe, "protocol": protocol}
    stated = "\n".join(
        f"{name} = {pprint.pformat(value, width=100, sort_dicts=False)}" for name, value in values.items()
    )
    return f"{sources}{STATED * bool(own)}{imports}\n{stated}\n"


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


def note(folder: Path, **entries: object) -> None:
    """Add entries to run.json."""
    file = folder / "run.json"
    about = json.loads(file.read_text()) if file.exists() else {"seconds": {}}
    write_json(file, {**about, **entries})


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds of a stage to run.json; a stage that was killed adds what its later part takes."""
    started = time.monotonic()
    yield
    if ranks.first():
        seconds = json.loads((folder / "run.json").read_text())["seconds"]
        seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - started, 3)
        note(folder, seconds=seconds)


class File(logging.FileHandler):
    """A log. A disk that is full is told by whoever writes results to it, not by every line that is lost."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""

    def close(self) -> None:
        """Close the file, whether or not its last lines are in it."""
        with suppress(OSError):
            super().close()


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        return json.dumps({"time": record.created, "level": record.levelname, "message": record.getMessage()})


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write what is said to run.log and log.jsonl as well."""
    with out_of_space(folder):
        plain, lines = (File(folder / name, encoding="utf-8") for name in ("run.log", "log.jsonl"))
    plain.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    lines.setFormatter(JsonLines())
    level = log.level
    log.setLevel(min(level or logging.INFO, logging.INFO))
    for handler in (plain, lines):
        log.addHandler(handler)
    try:
        yield
    except UserError as error:
        log.error("%s", error)
        raise
    finally:
        log.setLevel(level)
        for handler in (plain, lines):
            log.removeHandler(handler)
            handler.close()
