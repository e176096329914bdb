"""What steering costs: every pipeline beside unsteered sampling, closed-form guidance, and a step of Minimax fine-tuning.

    python benchmarks/cost.py cifar10 --train ... --test ... --size 32 --prior cifar10_dit

For each pipeline: seconds and peak memory a picture, relative to unsteered sampling with the same steps, next to how many
pictures passed the denoiser, the decoder and the teachers. Teachers, latents, clusters and tuned priors are made before and not
counted. Each pipeline runs in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch
from pairs import compared
from scene import Scene, arguments, device

from gendistill.execute import first_draft
from gendistill.nets.base import Classifier
from gendistill.objectives.mode_pull import ModePull
from gendistill.pipeline import find_pipeline, list_pipelines
from gendistill.plan import resident
from gendistill.priors.training.finetune import one_step
from gendistill.priors.training.look import RealLatents
from gendistill.progress import progress
from gendistill.runs import distill, open_context
from gendistill.stages import Unit
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.store import write_json

RESULTS = Path(__file__).parent / "results"
IPC = 10
PASSES = {"denoiser": "denoise", "decoder": "decode", "encoder": "encode"}


def counted(context, passes: dict[str, int]) -> None:
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


def one(scene: Scene, name: str) -> dict:
    """One pipeline in this process: made twice, so that the second time finds what is shared in the cache."""
    recipe = scene.recipe(name, IPC)
    context = open_context(recipe, device(), torch.float32, progress)
    place = Path(tempfile.mkdtemp(prefix="cost-"))
    distill(replace(recipe, seed=1), place / "first", context=context)
    passes: dict[str, int] = {}
    counted(context, passes)
    start, top, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            top[0] = max(top[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    made = distill(replace(recipe, seed=1, source="again"), place / "second", context=context)
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    shutil.rmtree(place)
    n = len(made.images)
    return {
        "pipeline": name, "seconds a picture": seconds / n, "peak MB": (top[0] - start) / 1e6,
        "passes a picture": {what: round(count / n, 1) for what, count in passes.items()},
    }  # fmt: skip


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
    real = RealLatents(tuple(context.latents(index) for index in context.classes))
    both, none = (
        one_step(step.task(context, real), device()) for step in (published, replace(published, objectives=()))
    )
    for _ in range(70):
        both()
    return {**compared(both, none, pairs), "batch": published.batch}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--pipelines", nargs="+")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    scene = Scene.of(given)
    if given.one:
        print(json.dumps(one(scene, given.one)))
        return
    file = RESULTS / f"cost-{given.name}.json"
    state = json.loads(file.read_text()) if file.exists() else {"pipelines": []}
    state |= {"date": str(datetime.date.today()), "cores": os.cpu_count()}
    state["closed-form guidance / none"] = closed_form(scene, given.pairs)
    state["Minimax step / plain step"] = tuning_step(scene, 4 * given.pairs)
    for name in ("closed-form guidance / none", "Minimax step / plain step"):
        print(name, json.dumps(state[name]), flush=True)
    names = given.pipelines or ["diffusion", *(p.name for p in list_pipelines() if p.name not in ("diffusion", "demo"))]
    known = {row["pipeline"] for row in state["pipelines"]}
    for name in names:
        if name in known:
            continue
        done = subprocess.run([sys.executable, *sys.argv, "--one", name], capture_output=True, text=True)
        if done.returncode:
            print(name, done.stderr.splitlines()[-1:], flush=True)
            continue
        state["pipelines"].append(json.loads(done.stdout.splitlines()[-1]))
        print(done.stdout.splitlines()[-1], flush=True)
        write_json(file, state)
    base = next((row["seconds a picture"] for row in state["pipelines"] if row["pipeline"] == "diffusion"), None)
    for row in state["pipelines"]:
        row["times unsteered"] = None if base is None else row["seconds a picture"] / base
    write_json(file, state)


if __name__ == "__main__":
    main()
