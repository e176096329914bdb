"""A whole run in one directory: distil, compare, evaluate, export, report. Every stage resumes where it was killed.

recipe.py      the recipe and protocol as code        run.json       what the run is, versions, seconds per stage
sets/seed-N/   the distilled sets, shard by shard     metrics.json   every measured accuracy
dataset/       the first set, for `load_dataset`      report.html    all of it, to look at
run.log        what was said                          log.jsonl      the same, for programs
"""

from __future__ import annotations

import difflib
import json
import logging
import pprint
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from gendistill import ranks
from gendistill.distilled import Distilled
from gendistill.environment import versions
from gendistill.evaluation.evaluate import check_held_out, make_baselines, measure
from gendistill.evaluation.page import page
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Report
from gendistill.export import export
from gendistill.parts import inside
from gendistill.progress import progress as show
from gendistill.provenance import Provenance
from gendistill.recipe import Recipe
from gendistill.runs import check_data, check_room, distill, open_context
from gendistill.store import write_json, write_text
from gendistill.types import UserError

log = logging.getLogger("gendistill")


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
    folder = Path(out)
    text = spell(recipe, protocol)
    look_at(folder, text, resume, overwrite)
    data = recipe.real.open()
    check_data(data, recipe)
    recipe.prior.check(data)
    if len(data.train):
        check_held_out(data)
    check_room(recipe, data, folder)
    if ranks.first():
        folder.parent.mkdir(parents=True, exist_ok=True)
    ranks.wait()
    with alone(folder):
        if ranks.first():
            begin(folder, text, overwrite, command=command or " ".join(sys.argv), device=device, dtype=dtype)
        ranks.wait()
        with logged(folder):
            return work(recipe, protocol, folder, text, torch.device(device), getattr(torch, dtype), progress)


def begin(folder: Path, text: str, overwrite: bool, **entries: str) -> None:
    """Write what the run is, first of all; a run that is resumed keeps what it was begun with."""
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run.json").exists():
        write_text(folder / "recipe.py", text)
        note(folder, versions=versions(), **entries)


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
        seeds = range(recipe.seed, recipe.seed + protocol.sets)
        log.info("distil: %d sets of %d pictures", protocol.sets, recipe.ipc * len(context.real.classes))
        made = [
            distill(replace(recipe, seed=seed), folder / "sets" / f"seed-{seed}", context=context, device=device)
            for seed in seeds
        ]
    report = Report([])
    if len(context.real.train):
        with timed(folder, "compared sets"):
            others = make_baselines(recipe, protocol, context)
        if ranks.first():
            with timed(folder, "evaluate"):
                report = measure({"distilled": made, **others}, protocol, context)
    return publish(folder, made[0], report, text) if ranks.first() else Run(folder, report)


def publish(folder: Path, distilled: Distilled, report: Report, text: str) -> Run:
    """Write metrics, dataset and report."""
    about = json.loads((folder / "run.json").read_text())
    origin = Provenance(**{**distilled.origin, "command": about["command"]})
    with timed(folder, "export"):
        note(folder, provenance=origin)
        export(distilled, folder / "dataset", report=report, provenance=origin)
    about = json.loads((folder / "run.json").read_text())
    report = replace(report, seconds=about["seconds"])
    write_json(folder / "metrics.json", report.to_json())
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
    """The recipe and the protocol as a pipeline file: ``gendistill run DIR/recipe.py`` is the same run again."""
    homes = sorted({(type(one).__module__, type(one).__name__) for one in inside((recipe, protocol))})
    imports = "".join(f"from {module} import {name}\n" for module, name in homes)
    values = {"recipe": recipe, "protocol": protocol}
    stated = "\n".join(
        f"{name} = {pprint.pformat(value, width=100, sort_dicts=False)}" for name, value in values.items()
    )
    return f"{imports}\n{stated}\n"


def look_at(folder: Path, text: str, resume: bool, overwrite: bool) -> None:
    """Refuse a directory that this run may not have.

    Raises:
        UserError: it holds another run, or something that is no run, or nobody said what to do with the run it holds.
    """
    if resume and overwrite:
        raise UserError("--resume goes on with a run and --overwrite removes it; give one of them")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; --out needs a directory")
    if not folder.exists() or not any(folder.iterdir()):
        return
    there = folder / "recipe.py"
    begun = {path.name for path in folder.iterdir() if path.suffix != ".part"} <= {"recipe.py"}
    if not begun and (not there.exists() or not (folder / "run.json").exists()):
        raise UserError(
            f"{folder} is not empty and holds no run of gendistill; nothing was touched, choose another --out"
        )
    if overwrite or begun:
        return
    if not resume:
        raise UserError(
            f"{folder} holds a run already; go on with it by --resume, remove it by --overwrite, or choose another --out"
        )
    if there.read_text() != text:
        changed = [
            line
            for line in difflib.unified_diff(there.read_text().splitlines(), text.splitlines(), lineterm="", n=0)
            if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        raise UserError(
            f"{folder} belongs to another recipe; it differs in\n  "
            + "\n  ".join(changed[:8])
            + "\nchoose another --out, or remove it by --overwrite"
        )


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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run directory.

    Raises:
        UserError: another run works in it.
    """
    lock = FileLock(str(folder.with_name(f".{folder.name}.lock-{ranks.number()}")))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process works in {folder}; wait for it, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        return json.dumps({"time": record.created, "level": record.levelname, "message": record.getMessage()})


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write what is said to run.log and log.jsonl as well."""
    plain, lines = logging.FileHandler(folder / "run.log"), logging.FileHandler(folder / "log.jsonl")
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
