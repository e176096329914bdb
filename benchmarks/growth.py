"""Time and memory of a steered run against the number of classes and of pictures per class.

    python benchmarks/growth.py

Modes, a guided sampler, then distribution matching on the latents, at 256 px with small random networks, so that pictures, not
weights, decide. Seconds and the peak of anonymous memory are those of distilling alone: data and prior are open before, latents
and modes are in the cache from a run before. Each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import memory
from memory import resident, write_data, write_prior

SIZES = ((4, 16), (8, 16), (16, 16), (4, 32), (4, 64))
"""Classes, pictures per class."""


def child(folder: Path, ipc: int) -> None:
    """One size, twice; prints what the second run took."""
    import torch

    from gendistill.anchors.modes import Modes
    from gendistill.data.parquet import Parquet
    from gendistill.nets.convnet import ConvNet
    from gendistill.nets.sampling import Fresh
    from gendistill.objectives.mean_features import MeanFeatures
    from gendistill.objectives.mode_pull import ModePull
    from gendistill.priors.latent_diffusion import LatentDiffusion
    from gendistill.recipe import Recipe
    from gendistill.runs import distill, open_context
    from gendistill.steering.guide import Guide
    from gendistill.steering.optimize import Optimize
    from gendistill.steering.sample import Sample

    recipe = Recipe(
        real=Parquet(train=str(folder / "data"), size=memory.SIDE), prior=LatentDiffusion(str(folder / "prior")),
        steering=(
            Sample(steps=4, scheduler="DDIM", guides=(Guide(ModePull(Modes(count=4), weight=0.1)),)),
            Optimize((MeanFeatures(Fresh(ConvNet(depth=6, width=16)), batch=32),), steps=4),
        ),
        ipc=ipc, block=16,
    )  # fmt: skip
    context = open_context(recipe, torch.device("cpu"), torch.float32)
    distill(recipe, folder / "first", context=context)
    before, peak, done = resident()["RssAnon"], [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident()["RssAnon"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    distill(replace(recipe, source="again"), folder / "second", context=context)
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    print(json.dumps({"seconds": seconds, "anonymous MB": (peak[0] - before) / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2)
    given = parser.parse_args()
    memory.PER_CLASS = 64
    if given.child:
        child(Path(given.child[0]), int(given.child[1]))
        return
    results = []
    for classes, ipc in SIZES:
        with tempfile.TemporaryDirectory(prefix="growth-") as name:
            folder = Path(name)
            (folder / "data").mkdir()
            write_data(folder / "data", classes)
            write_prior(folder / "prior", classes)
            env = {**os.environ, "GENDISTILL_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
            command = [sys.executable, __file__, "--child", name, str(ipc)]
            done = subprocess.run(command, env=env, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        results.append(
            {"classes": classes, "ipc": ipc, **found, "ms a picture": 1000 * found["seconds"] / classes / ipc}
        )
        print(json.dumps(results[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
