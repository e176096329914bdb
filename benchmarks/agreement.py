"""Does the screening protocol put sets in the order in which the field's own protocol puts them?

    python benchmarks/agreement.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32 \
        --prior cifar10_dit

The sets are those of `steering.py` at IPC 10, with hard labels; rows of either protocol that it wrote are read, and what is missing
is measured and added to its file, so that each goes on where the other was stopped. ``house``, ``guided`` and the recipes of
``candidates/`` are left out: they were chosen by the screening protocol, or for being near what it chose.

screening  `SCREENING`: ConvNet-3 of width 32, 300 steps of AdamW, 3 students (some twenty seconds each)
matching   DSA's: ConvNet-3 of width 128, 1000 epochs of SGD, siamese augmentation, bfloat16 (some four minutes each)

Spearman's correlation of the mean accuracies, with the interval that resampled sets give (95 %).
"""

from __future__ import annotations

import logging
from dataclasses import replace

import ledger
from scene import CANDIDATES, Opened, Scene, arguments
from steering import rows, titled

from gendistill.evaluation.comparing.significance import agreement
from gendistill.types import UserError

TUNED = ("house", "guided", *CANDIDATES)
"""Chosen by the protocol that is in question."""
LEAST = 12
"""Sets without which an order says little."""


def both(state: dict, ipc: int, short: str, long: str) -> dict[str, tuple[dict, dict]]:
    """The sets that either protocol has judged by hard labels."""
    named = {
        protocol: {row["set"]: row for row in ledger.found(state, ipc=ipc, protocol=protocol, labels="hard")}
        for protocol in (short, long)
    }
    return {name: (row, named[long][name]) for name, row in named[short].items() if name in named[long]}


def table(state: dict, ipc: int, short: str, long: str) -> str:
    """Both accuracies of every set, the best by the long protocol first, and how far the orders agree."""
    found = {name: pair for name, pair in both(state, ipc, short, long).items() if name not in TUNED}
    lines = [f"| IPC {ipc}, hard labels | {short} | {long} |", "|---|---:|---:|"]
    for name, pair in sorted(found.items(), key=lambda item: -item[1][1]["mean"]):
        lines.append(f"| `{name}` | {' | '.join(map(ledger.cell, pair))} |")
    if len(found) < LEAST:
        told = f"{len(found)} sets are too few to tell; at least {LEAST} are wanted."
    else:
        quickly, fully = ([pair[side]["mean"] for pair in found.values()] for side in (0, 1))
        told = f"{agreement(quickly, fully)}."
    return "\n\n".join(["\n".join(lines), told, *ledger.failed(state), ledger.about(state)])


def main() -> None:
    parser = arguments(__doc__, prior=False)
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--pipelines", nargs="+", help="these only; else all that the screening protocol has judged")
    parser.add_argument("--students", type=int, default=3, help="of the matching protocol")
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    scene = Scene.of(given)
    short, long = scene.protocol, replace(scene.matching, students=given.students)
    file = ledger.RESULTS / f"steering-{given.name}-{given.split}.json"
    if given.table:
        print(table(ledger.read(file), given.ipc, short.name, long.name))
        return
    judged = ledger.found(ledger.read(file), ipc=given.ipc, protocol=short.name, labels="hard")
    names = given.pipelines or [row["set"] for row in judged if row["set"] not in TUNED]
    if not names:
        raise UserError(
            f"{file.name} has no sets of IPC {given.ipc}: run benchmarks/steering.py first, or name --pipelines"
        )
    opened = Opened(scene, scene.data(given.split))
    for name in names:
        for protocol in (short, long):
            title, key = titled(scene, name, given.ipc, protocol)
            ledger.add(file, title, key, lambda name=name, one=protocol: rows(opened, name, given.ipc, one, ["hard"]))


if __name__ == "__main__":
    main()
