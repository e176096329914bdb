"""Every pipeline on one data set with one prior: accuracy with hard and soft labels, beside what each must beat.

    python benchmarks/steering.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32 \
        --prior cifar10_dit --ipc 1 10

Goes on where it was stopped: sets and students are kept in the cache, rows in ``results/steering-NAME.json``. ``--split val``
judges by a tenth of the training pictures, which no row is made from, and is what settings are chosen by; the test pictures
are opened by ``--split test`` alone. ``--protocol matching`` trains students as the field does, minutes each.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from filelock import FileLock
from scene import Scene, arguments, device

from gendistill.distilled import Distilled
from gendistill.environment import versions
from gendistill.evaluation.baselines import random_real
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.metrics.features import features, features_of
from gendistill.evaluation.metrics.fidelity import frechet
from gendistill.evaluation.protocols import Protocol
from gendistill.formatting import spell_accuracy, spell_bytes
from gendistill.images import Subset
from gendistill.nets import trained
from gendistill.pipeline import list_pipelines
from gendistill.progress import progress
from gendistill.runs import distill, open_context
from gendistill.store import write_json
from gendistill.training import accuracy
from gendistill.types import Diverged, UserError

LEFT_OUT = ("demo",)
"""Not a method of its own, or made for other data."""
RESULTS = Path(__file__).parent / "results"


def rows(
    scene: Scene, name: str, ipc: int, split: str, protocol: Protocol, labels: Sequence[str], contexts: dict
) -> list[dict]:
    """The rows of one pipeline at one IPC."""
    recipe = scene.recipe(name, ipc)
    data = scene.data(split)
    key = type(recipe.prior)
    if key not in contexts:
        contexts[key] = open_context(recipe, device(), torch.float32, progress)
    context = replace(contexts[key], real=data)
    recipes = [recipe]
    if name == "random_real":  # drawing costs nothing: another set for every student
        recipes = [replace(random_real(recipe), seed=seed) for seed in range(protocol.students)]
    made = [distill(one, context=context) for one in recipes]
    if "soft" not in labels:
        made = [one.hard() for one in made]
    return [asdict(row) for row in measure({name: made}, protocol, context).rows]


def whole(scene: Scene, split: str, contexts: dict) -> list[dict]:
    """All real pictures."""
    data, context = scene.data(split), next(iter(contexts.values()))
    found = measure({"full_real": [Distilled.of(data.train)]}, scene.protocol, replace(context, real=data)).rows
    return [asdict(row) for row in found]


def prior_quality(scene: Scene, contexts: dict, cfg: float = 1.5, ipc: int = 100) -> dict:
    """What the checkpoint is worth: its hash, the class its samples show, and their Fréchet distance to real pictures.

    Classes and features are those of a network that guides and labels no row (seed 9).
    """
    recipe = scene.recipe("diffusion", ipc)
    recipe = replace(recipe, steering=(replace(recipe.steering[0], cfg=cfg),), block=50)
    context = contexts.setdefault(type(recipe.prior), open_context(recipe, device(), torch.float32, progress))
    made, real = distill(recipe, context=context).images, context.real.train
    net = trained.load(replace(scene.teacher, seed=9), context)
    picked = torch.linspace(0, len(real) - 1, len(made)).long()
    ours, theirs = (features(some, features_of(net), context.device) for some in (made, Subset(real, picked)))
    assert context.prior is not None
    return {
        "fingerprint": context.prior.fingerprint,
        "cfg": cfg,
        "samples": len(made),
        "classified as asked, %": accuracy(net, made, context.device),
        "Fréchet distance, features of the network above": frechet(ours, theirs),
    }


def table(state: dict) -> str:
    """The rows as Markdown, one table a protocol and IPC, the best with hard labels first."""
    parts = []
    for protocol, ipc in sorted({(row["protocol"], row["ipc"]) for row in state["rows"] if row["ipc"]}):
        mine: dict[str, dict[str, dict]] = {}
        for row in state["rows"]:
            if row["protocol"] == protocol and row["ipc"] in (ipc, None):
                mine.setdefault(row["set"], {})[row["labels"]] = row
        lines = [f"| {protocol}, IPC {ipc} | hard labels | soft labels | bytes |", "|---|---:|---:|---:|"]
        for name, kinds in sorted(mine.items(), key=lambda item: -item[1]["hard"]["mean"]):
            cells = [
                spell_accuracy(r["mean"], r["std"], r["n"]) if (r := kinds.get(k)) else "" for k in ("hard", "soft")
            ]
            lines.append(f"| `{name}` | {' | '.join(cells)} | {spell_bytes(kinds['hard']['bytes'])} |")
        parts.append("\n".join(lines))
    failed = [f"- `{name}`: {why}" for name, why in state["failed"].items()]
    about = f"{state['date']}, {state['hardware']}, torch {state['versions']['torch']}"
    return "\n\n".join([*parts, *(["Not made:\n\n" + "\n".join(failed)] if failed else []), about])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--pipelines", nargs="+", help="these only")
    parser.add_argument("--protocol", choices=["screening", "matching"], default="screening")
    parser.add_argument(
        "--labels", choices=["hard", "soft"], nargs="+", default=["hard", "soft"], help="hard alone, or both"
    )
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    scene = Scene.of(given)
    file = RESULTS / f"steering-{given.name}-{given.split}.json"
    if given.table:
        print(table(read(file)))
        return
    contexts: dict = {}
    first = ["random_real", "diffusion"]
    names = given.pipelines or first + [p.name for p in list_pipelines() if p.name not in (*first, *LEFT_OUT)]
    protocol = scene.protocol if given.protocol == "screening" else scene.matching
    for ipc in sorted(given.ipc, reverse=True):
        for name in names:
            place = f"{name} ipc {ipc}" + (f" {protocol.name}" if protocol != scene.protocol else "")
            key = (name, ipc, protocol.name)
            if any((row["set"], row["ipc"], row["protocol"]) == key for row in read(file)["rows"]):
                continue
            try:
                found, error = rows(scene, name, ipc, given.split, protocol, given.labels, contexts), None
            except (Diverged, UserError) as wrong:
                found, error = [], str(wrong)
            with updated(file) as state:
                state["rows"] += found
                state["failed"].pop(place, None)
                if error:
                    state["failed"][place] = error
            print(
                place,
                *([f"{row['labels']} {row['mean']:.1f} ± {row['std']:.1f}" for row in found] or [error]),
                flush=True,
            )
    if not given.pipelines and protocol == scene.protocol:
        full, prior = whole(scene, given.split, contexts), prior_quality(scene, contexts)
        with updated(file) as state:
            state["rows"] = [row for row in state["rows"] if row["set"] != "full_real"] + full
            state["prior"] = prior


def read(file: Path) -> dict:
    """What was measured so far."""
    return json.loads(file.read_text()) if file.exists() else {"rows": [], "failed": {}}


@contextmanager
def updated(file: Path) -> Iterator[dict]:
    """What was measured so far, to be added to; several processes may share the work."""
    with FileLock(file.with_suffix(".lock")):
        state = read(file)
        yield state
        hardware = f"{os.cpu_count()} cores, {platform.machine()}, {device().type}"
        write_json(file, state | {"date": str(datetime.date.today()), "hardware": hardware, "versions": versions()})


if __name__ == "__main__":
    main()
