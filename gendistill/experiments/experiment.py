"""A whole run in one folder, see `gendistill.experiments.run_folder`: distil, compare, evaluate, export, report.

Every stage resumes where it was killed.
"""

from __future__ import annotations

import inspect
import logging
import pprint
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gendistill.config.parts import inside
from gendistill.config.pipeline import MODULE
from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_held_out
from gendistill.evaluation.evaluate import check_judges, make_baselines, measure
from gendistill.evaluation.keep import merged, numbers
from gendistill.evaluation.page import page
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.report import Report
from gendistill.experiments.run_folder import begin, look_at, note, timed
from gendistill.experiments.run_log import logged
from gendistill.exporting.export import export
from gendistill.provenance import Provenance
from gendistill.recipe import Recipe
from gendistill.running.distill import check_data, check_room, distill, open_context
from gendistill.system import ranks
from gendistill.system.devices import device_of
from gendistill.system.locks import alone
from gendistill.system.progress import progress as show
from gendistill.system.store import out_of_space, read_json, write_json

log = logging.getLogger("gendistill")
STATED = "# What was run:\n"
"""Stands between the parts that a pipeline defined and the recipe that was made of them."""


@dataclass(frozen=True)
class Run:
    """A finished run. Prints as what it is worth, and where it is.

    folder  its directory
    report  every accuracy, empty where nothing was judged, and in all processes but the first
    """

    folder: Path
    report: Report

    def __repr__(self) -> str:
        return f"{self.report}\n\n{self.folder / 'dataset'}\n{self.folder / 'report.html'}"


def run(
    recipe: Recipe,
    protocol: Protocol,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str | torch.device = "auto",
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
        device: where to compute; "auto" takes a GPU where there is one.
        dtype: of the denoiser.
        command: what the user typed, for the report.
        progress: wraps iterables to show how far they are.

    Raises:
        UserError: anything the user has to mend, found before anything is written where that is possible.
    """
    folder, where = Path(out), device_of(device)
    arithmetic = {"device": str(where), "dtype": dtype}
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
            return work(recipe, protocol, folder, text, where, getattr(torch, dtype), progress)


def sets(recipe: Recipe, protocol: Protocol, folder: Path) -> list[tuple[Recipe, Path]]:
    """The recipe of every set, and where it lies."""
    seeds = range(recipe.seed, recipe.seed + protocol.sets)
    return [(replace(recipe, seed=seed), folder / "sets" / f"seed-{seed}") for seed in seeds]


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
        report = merged(numbers(folder), report)
    about = read_json(folder / "run.json")
    origin = Provenance(**{**distilled.origin, "command": about["command"]})
    with timed(folder, "export"):
        note(folder, provenance=origin)
        export(distilled, folder / "dataset", report=report, provenance=origin)
    about = read_json(folder / "run.json")
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
