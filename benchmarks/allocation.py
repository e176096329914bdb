"""What it brings on a CPU to keep freed memory between steps, as every run does, instead of giving it back to the system.

    python benchmarks/allocation.py [--pairs 20]

Each process trains a ConvNet-3 on pictures of 32 px for some steps; processes of both kinds take turns in random order. The time is
that of the training alone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from pairs import ratios

RESULTS = Path(__file__).parent / "results"
STEPS, BATCH, SIDE, WIDTH = 30, 128, 32, 64


def child(keep: bool) -> None:
    """Seconds of some training steps of a ConvNet-3 on pictures of 32 px."""
    import torch

    from gendistill.images import StoredImages
    from gendistill.learning.training import Training, train
    from gendistill.nets.base import Shape, build
    from gendistill.nets.convnet import ConvNet
    from gendistill.system.environment import keep_memory
    from gendistill.types import Class

    if keep:
        keep_memory()
    device, stream = torch.device("cpu"), torch.Generator().manual_seed(0)
    stored = torch.randint(256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8, generator=stream)
    images = StoredImages([Class("a"), Class("b")], torch.arange(BATCH) % 2, stored)
    net = build(ConvNet(depth=3, width=WIDTH), Shape(3, SIDE, 2, (0.5,) * 3, (0.25,) * 3), 0, device)
    train(net, images, Training(epochs=2, batch=BATCH), 0, device)
    started = time.perf_counter()
    train(net, images, Training(epochs=STEPS, batch=BATCH), 0, device)
    print(time.perf_counter() - started)


def seconds(keep: bool) -> float:
    """What one process took."""
    command = [sys.executable, __file__, "--child", "keep" if keep else "return"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--child", choices=("keep", "return"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child == "keep")
        return
    found = ratios(lambda: seconds(True), lambda: seconds(False), given.pairs)
    state = {"memory kept / returned": found, "date": str(datetime.date.today()), "cores": os.cpu_count()}
    (RESULTS / "allocation.json").write_text(json.dumps(state, indent=2) + "\n")
    print(json.dumps(state))


if __name__ == "__main__":
    main()
