"""What steering costs: every pipeline beside unsteered sampling, closed-form guidance, and a step of Minimax fine-tuning.

    python benchmarks/cost.py cifar10 --train ... --test ... --size 32 --prior cifar10_dit

For each pipeline at IPC 10: seconds a picture (of the CPU, which other work on the machine disturbs little; on a GPU those of the
clock), relative to unsteered sampling with the same steps, by how much the process grew, and how many pictures passed the
denoiser, the decoder and the classifiers for one. A set of one picture a class is made before: what sets share, which is teachers,
latents and tuned priors, is not counted. Each pipeline runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import torch
from ledger import RESULTS, about, add, failed, read, updated
from pairs import compared, spent
from scene import Scene, arguments, device

from gendistill.config.pipeline import find_pipeline, list_pipelines
from gendistill.context import Context
from gendistill.nets.base import Classifier
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.training.finetune import one_step
from gendistill.running.distill import distill, open_context
from gendistill.running.execute import first_draft
from gendistill.running.stages import Unit
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.system.memory import peak_memory
from gendistill.system.progress import progress
from gendistill.types import UserError

IPC = 10
LEFT_OUT = ("demo", "random_real", "herding", "kcenter")
"""Made for other data, or real pictures that are there."""
PASSES = {"denoiser": "denoise", "decoder": "decode", "encoder": "encode"}


def counted(context: Context, passes: dict[str, int]) -> None:
    """Count the pictures that pass the prior's networks and every classifier from here on."""

    def counting(owner: type, method: str, what: str) -> None:
        original = getattr(owner, method)

        def call(self, first, *rest, **named):
            size = len(next(iter(first.values())) if isinstance(first, dict) else first)
            passes[what] = passes.get(what, 0) + size
            return original(self, first, *rest, **named)

        setattr(owner, method, call)

    for what, method in PASSES.items():
        if hasattr(type(context.prior), method):
            counting(type(context.prior), method, what)
    counting(Classifier, "features", "classifiers")


def watched(run: Callable[[], object]) -> tuple[float, int]:
    """The seconds of a piece of work, and by how many bytes it grew what the device, or on a CPU the process, holds."""
    with peak_memory(device()) as peak:
        start = peak()
        taken = spent(run)
        return taken["cpu" if device().type == "cpu" else "wall"], max(0, peak() - start)


def one(scene: Scene, name: str) -> dict:
    """The row of one pipeline, in this process."""
    recipe = scene.recipe(name, IPC)
    context = open_context(recipe, device(), torch.float32, progress)
    passes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="cost-") as place:
        unseen = time.time_ns() % (1 << 32)  # seeds of which nothing is in the cache
        distill(replace(scene.recipe(name, 1), seed=unseen), Path(place) / "first", context=context)
        counted(context, passes)
        run = replace(recipe, seed=unseen + 1)
        seconds, grown = watched(lambda: distill(run, Path(place) / "set", context=context))
    n = IPC * len(context.real.classes)
    return {
        "pipeline": name, "seconds a picture": seconds / n, "MB": grown / 1e6,
        "passes a picture": {what: round(count / n, 1) for what, count in passes.items()},
    }  # fmt: skip


def apart(name: str) -> list[dict]:
    """The row of one pipeline, from a process of its own.

    Raises:
        UserError: it failed.
    """
    done = subprocess.run([sys.executable, *sys.argv, "--one", name], capture_output=True, text=True)
    if done.returncode:
        raise UserError((done.stderr.splitlines() or ["it ended without a word"])[-1])
    return [json.loads(done.stdout.splitlines()[-1])]


def closed_form(scene: Scene, pairs: int) -> dict:
    """A pull towards modes at every step against none."""
    recipe = scene.recipe("mgd3", IPC)
    context = open_context(recipe, device(), torch.float32, progress).of((0,))
    draft = first_draft(Unit((0,), 0, IPC, IPC), context)
    plain = Sample(scheduler="DDIM", steps=scene.steps, cfg=3.0)
    guided = replace(plain, guides=(Guide(ModePull(weight=0.1)),))
    return compared(lambda: guided(draft, context), lambda: plain(draft, context), pairs)


def tuning_step(scene: Scene, pairs: int) -> dict:
    """A step of fine-tuning as Minimax does it, with both memories full, against one by the diffusion loss alone."""
    recipe = scene.recipe("minimax", IPC)
    whole = open_context(recipe, device(), torch.float32, progress)
    context = whole.of(tuple(range(len(whole.real.classes))))
    published = find_pipeline("minimax").recipe.steering[0]
    real = published.latents(context)
    both, none = (
        one_step(step.task(context, real), device()) for step in (published, replace(published, objectives=()))
    )
    for _ in range(70):
        both()
    return {**compared(both, none, 4 * pairs), "batch": published.batch}


def table(state: dict) -> str:
    """The rows as Markdown, the cheapest first: means over runs, and of how many; ratios are to unsteered in the same run."""
    base = {row["run"]: row["seconds a picture"] for row in state["rows"] if row["pipeline"] == "diffusion"}
    found: dict[str, list[dict]] = {}
    for row in state["rows"]:
        found.setdefault(row["pipeline"], []).append(row)
    lines = ["| pipeline | times unsteered | seconds a picture | MB | denoiser | decoder | encoder | classifiers |"]
    lines.append("|---|" + "---:|" * 7)
    for name, rows in sorted(found.items(), key=lambda item: mean("seconds a picture", item[1])):
        ratios = [row["seconds a picture"] / base[row["run"]] for row in rows if row["run"] in base]
        spread = f" ± {stdev(ratios):.2f}" if len(ratios) > 1 else ""
        times, passes = f"{fmean(ratios):.2f}{spread} ({len(ratios)})" if ratios else "", rows[0]["passes a picture"]
        counts = " | ".join(f"{passes.get(what, 0):g}" for what in (*PASSES, "classifiers"))
        seconds, megabytes = mean("seconds a picture", rows), mean("MB", rows)
        lines.append(f"| `{name}` | {times} | {seconds:.3g} | {megabytes:.0f} | {counts} |")
    pairs = []
    for name, found in state.get("pairs", {}).items():
        low, high = found["95 % interval"]
        pairs.append(f"- {name}: {found['median time ratio']:.3f} in [{low:.3f}, {high:.3f}], {found['pairs']} pairs")
    return "\n\n".join(["\n".join(lines), "\n".join(pairs), *failed(state), about(state)])


def mean(what: str, rows: list[dict]) -> float:
    """Of a column."""
    return fmean(row[what] for row in rows)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--pipelines", nargs="+", help="these only, beside the unsteered prior")
    parser.add_argument(
        "--run", type=int, default=1, help="number of the run: rows of one are compared with each other"
    )
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    scene = Scene.of(given)
    if given.one:
        print(json.dumps(one(scene, given.one)))
        return
    file = RESULTS / f"cost-{given.name}.json"
    if not given.table:
        for name, measured in PAIRS.items():
            if name not in read(file).get("pairs", {}):
                found = measured(scene, given.pairs)
                with updated(file) as state:
                    state.setdefault("pairs", {})[name] = found
                print(name, json.dumps(found), flush=True)
        others = [p.name for p in list_pipelines() if p.name not in LEFT_OUT]
        for name in dict.fromkeys(["diffusion", *(given.pipelines or others)]):
            key = {"pipeline": name, "run": given.run}
            add(file, f"{name}, run {given.run}", key, lambda key=key: [row | key for row in apart(key["pipeline"])])
    print(table(read(file)))


PAIRS = {"closed-form guidance / none": closed_form, "Minimax step / plain step": tuning_step}
"""What is timed in interleaved pairs."""


if __name__ == "__main__":
    main()
