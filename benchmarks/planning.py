"""What `gendistill plan` says beside what the run then takes: seconds, peak memory, bytes on disk.

    python benchmarks/planning.py 'NAME=PIPELINE WORDS...' ...

Each run has a cache of its own, so that nothing is there already. Imports are counted in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

DEFAULT = (
    "digits, prior trained on the spot=demo ipc=1",
    "digits, pixels=dm 'real=Digits(size=16)' protocol=DIGITS protocol.sets=1 steering.Optimize.steps=60 ipc=10",
    "digits, modes=d4m 'real=Digits(size=16)' 'prior=SmallDiffusion(max_train_steps=400)' protocol=DIGITS protocol.sets=2 ipc=10",
)


def child(words: list[str], out: Path | None) -> None:
    """Plan (without ``out``) or run; prints seconds, memory and bytes."""
    import resource
    import time

    from gendistill.config.overrides import override
    from gendistill.config.pipeline import find_pipeline
    from gendistill.experiments.experiment import run
    from gendistill.experiments.plan import plan

    found = find_pipeline(words[0])
    recipe, protocol = override(found.recipe, found.protocol, words[1:])
    if out is None:
        told = plan(recipe, protocol)
        print(json.dumps({"seconds": told.seconds, "memory": told.memory_bytes, "disk": told.disk_bytes}))
        return
    started = time.monotonic()
    run(recipe, protocol, out, progress=lambda items, *_: items)
    seconds = time.monotonic() - started
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "memory": peak, "disk": size}))


def ask(words: list[str], env: dict[str, str], *more: str) -> dict[str, float]:
    """The numbers of a child process."""
    done = subprocess.run([sys.executable, __file__, *more, "--words", *words], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=DEFAULT)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--words", nargs="+")
    given = parser.parse_args()
    if given.words:
        child(given.words, given.out)
        return
    results = []
    for item in given.recipes:
        name, _, line = item.partition("=")
        words = shlex.split(line)
        with tempfile.TemporaryDirectory(prefix="planning-") as folder:
            env = {**os.environ, "GENDISTILL_CACHE": f"{folder}/cache"}
            planned = ask(words, env)
            true = ask(words, env, "--out", f"{folder}/out")
        ratio = {key: planned[key] / true[key] for key in planned}
        results.append({"recipe": name, "command": line, "planned": planned, "true": true, "planned / true": ratio})
        print(json.dumps(results[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
