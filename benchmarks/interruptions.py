"""Kill runs with SIGKILL at random moments of every stage, resume them, and compare every byte with a run that was left alone.

    python benchmarks/interruptions.py [--kills 20]

The recipe trains its prior and a teacher, samples, optimises, relabels, evaluates and exports. Each trial has a cache of its own.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHANGES = [
    "ipc=6", "block=3", "prior.vae_train_steps=150", "prior.max_train_steps=250", "prior.checkpointing_steps=25",
    "steering.Sample.steps=100", "steering.Optimize.steps=60", "protocol.sets=1", "protocol.students=1",
    "protocol.training.least_steps=20", "protocol.full.epochs=1",
]  # fmt: skip


def start(folder: Path) -> subprocess.Popen:
    """The run, in a process of its own, with its own cache."""
    env = {**os.environ, "GENDISTILL_CACHE": str(folder / "cache")}
    command = [
        sys.executable,
        "-m",
        "gendistill",
        "run",
        "demo",
        *CHANGES,
        "--out",
        str(folder / "out"),
        "--resume",
        "--device",
        "cpu",
    ]
    log = open(folder / "output.log", "ab")  # noqa: SIM115 (the child's)
    return subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)


def made(folder: Path) -> dict[str, str]:
    """Hashes of what must be equal: the exported Parquet, every shard, the labels, and the weights of the prior."""
    files = [*folder.glob("out/dataset/data/*.parquet"), *folder.glob("out/sets/**/*.safetensors")]
    files += [path for path in folder.glob("cache/prior/*/*/*.safetensors") if ".working" not in str(path)]
    found = {}
    for path in sorted(files):
        place = path.relative_to(folder).parts
        name = "/".join(part for part in place if len(part) != 24)  # not the cache's own key
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


STAGES = ("autoencoder", "denoiser", "sampling", "optimisation", "labelling", "evaluation", "export", "done")
"""In the order of a run; each is killed some seconds after it was reached."""


def stage(folder: Path) -> str:
    """Where the run is, from what exists."""
    out = folder / "out"
    if not list(folder.glob("cache/prior/*/model_index.json")):
        return "denoiser" if list(folder.glob("cache/prior/*.working/checkpoint-*")) else "autoencoder"
    if (out / "metrics.json").exists():
        return "done"
    if (out / "dataset").exists() or list(out.glob(".dataset*")):
        return "export"
    if (out / "sets" / "seed-0" / "set.json").exists():
        return "evaluation"
    begun = list(out.glob("sets/seed-0/shards/0-*/*.safetensors"))
    pictures = list(out.glob("sets/seed-0/shards/pictures/*.safetensors"))
    return "labelling" if len(pictures) == 10 else "optimisation" if len(begun) == 20 else "sampling"


def shards(folder: Path) -> dict[Path, int]:
    """Finished shards and when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("out/sets/**/shards/**/*.safetensors")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    root = Path(tempfile.mkdtemp(prefix="interruptions-"))
    whole = root / "whole"
    whole.mkdir()
    started = time.monotonic()
    if start(whole).wait() != 0:
        raise SystemExit((whole / "output.log").read_text()[-3000:])
    length, wanted = time.monotonic() - started, made(whole)
    print(f"uninterrupted: {length:.0f} s, {len(wanted)} files", flush=True)
    where, equal, again, kills, trial = collections.Counter(), 0, 0, 0, 0
    while kills < given.kills:
        folder = root / f"trial-{trial}"
        folder.mkdir()
        before: dict[Path, int] = {}
        for target in STAGES:
            process = start(folder)
            while process.poll() is None and STAGES.index(stage(folder)) < STAGES.index(target):
                time.sleep(0.05)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0, 4))
            if process.poll() is not None:
                break
            where[stage(folder)] += 1
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            before |= shards(folder)
        if start(folder).wait() != 0:
            raise SystemExit((folder / "output.log").read_text()[-3000:])
        again += sum(shards(folder)[path] != at for path, at in before.items())
        same = made(folder) == wanted
        equal += same
        print(f"trial {trial}: {'equal' if same else 'DIFFERENT'}, {kills} kills so far, {dict(where)}", flush=True)
        trial += 1
        shutil.rmtree(folder)
    result = {
        "kills": kills, "stages": dict(where), "runs": trial, "equal": equal, "files compared": len(wanted),
        "shards made again": again, "seconds uninterrupted": round(length, 1),
    }  # fmt: skip
    print(json.dumps(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
