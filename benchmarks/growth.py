"""Time and memory of a steered run against the number of classes and of pictures per class.

    python benchmarks/growth.py [--times 3]

Modes, a guided sampler, then latents that move towards one more objective, at 256 px with small networks, so that pictures, not
weights, decide. The objective judges a class as a whole (its pictures' mean features, `MeanFeatures`), each picture by itself (a
teacher, `CrossEntropy`), or a class again, whose latents pass the sampler at every step (`through`, as in LD3M). Seconds (of the
CPU, which other work disturbs little) and the peak of anonymous memory are those of distilling alone: data and prior are open
before; latents, modes and the teacher are in the cache from a run before. Each run has a process of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

import memory
from ledger import RESULTS, about, add, failed, read
from memory import write_data, write_prior

SCOPES = ("class", "picture", "class, through the sampler")
SIZES = ((4, 16), (8, 16), (16, 16), (4, 32), (4, 64))
"""Classes, pictures per class."""


def child(folder: Path, scope: str, ipc: int) -> None:
    """A run of one size; says when data and prior are open, waits for a word, and writes down its seconds."""
    from dataclasses import replace

    import torch

    from gendistill.anchors.modes import Modes
    from gendistill.data.parquet import Parquet
    from gendistill.learning.training import Training
    from gendistill.nets.convnet import ConvNet
    from gendistill.nets.sampling import Fresh
    from gendistill.nets.trained import Trained
    from gendistill.objectives.cross_entropy import CrossEntropy
    from gendistill.objectives.mean_features import MeanFeatures
    from gendistill.objectives.mode_pull import ModePull
    from gendistill.priors.latent_diffusion import LatentDiffusion
    from gendistill.recipe import Recipe
    from gendistill.running.distill import distill, open_context
    from gendistill.steering.guide import Guide
    from gendistill.steering.optimize import Optimize
    from gendistill.steering.sample import Sample

    net, learned = ConvNet(depth=6, width=16), Training(epochs=3, batch=16, optimizer="AdamW", lr=1e-3)
    whole, alone = MeanFeatures(Fresh(net), batch=32), CrossEntropy((Trained(net=net, training=learned),))
    plain = Sample(steps=4, scheduler="DDIM")
    moved = dict(
        zip(SCOPES, (Optimize((whole,), 4), Optimize((alone,), 4), Optimize((whole,), 4, through=plain)), strict=True)
    )
    recipe = Recipe(
        real=Parquet(train=str(folder / "data"), size=memory.SIDE), prior=LatentDiffusion(str(folder / "prior")),
        steering=(
            replace(plain, guides=(Guide(ModePull(Modes(count=4), weight=0.1), window=(0.3, 1.0)),)),
            moved[scope],
        ),
        ipc=ipc, block=16,
    )  # fmt: skip
    context = open_context(recipe, torch.device("cpu"), torch.float32, lambda items, *_: items)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    distill(recipe, folder / "set", context=context)
    (folder / "seconds").write_text(str(time.process_time() - started))


def grown(scope: str, classes: int, ipc: int, times: int) -> list[dict]:
    """The row of one size, measured so many times, each in a process of its own; one more before them fills the cache."""
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        write_data(folder / "data", classes)
        write_prior(folder / "prior", classes)
        kept = {word: value for word, value in os.environ.items() if not word.startswith("MALLOC_")}
        env = {**kept, "GENDISTILL_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
        command = [sys.executable, __file__, "--child", name, scope, str(ipc)]
        found = []
        for _ in range(times + 1):
            held = memory.watched(command, env)
            more = (held["peak"]["RssAnon"] - held["before"]["RssAnon"]) / 1e6
            found.append((float((folder / "seconds").read_text()), more))
            shutil.rmtree(folder / "set")
    seconds, megabytes = (list(column) for column in zip(*found[1:], strict=True))
    return [{"scope": scope, "classes": classes, "ipc": ipc, "seconds": seconds, "anonymous MB": megabytes}]


def table(state: dict) -> str:
    """The rows as Markdown."""
    lines = [
        "| objective of a | classes | IPC | seconds | ms a picture | anonymous MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in state["rows"]:
        each = [1000 * seconds / row["classes"] / row["ipc"] for seconds in row["seconds"]]
        cells = (row["scope"], row["classes"], row["ipc"], *map(spread, (row["seconds"], each, row["anonymous MB"])))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n\n".join(["\n".join(lines), *failed(state), about(state)])


def spread(values: list[float]) -> str:
    """Mean and deviation, and of how many."""
    return f"{fmean(values):.1f} ± {stdev(values) if len(values) > 1 else 0:.1f} ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    memory.PER_CLASS = 64
    if given.child:
        folder, scope, ipc = given.child
        child(Path(folder), scope, int(ipc))
        return
    file = RESULTS / "growth.json"
    if not given.table:
        for scope, (classes, ipc) in product(SCOPES, SIZES):
            key = {"scope": scope, "classes": classes, "ipc": ipc}
            add(file, f"{scope} {classes} x {ipc}", key, lambda key=key: grown(**key, times=given.times))
    print(table(read(file)))


if __name__ == "__main__":
    main()
