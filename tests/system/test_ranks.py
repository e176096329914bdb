"""Two processes share the units of a run and end with the bytes of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

from gendistill.system import ranks

PIPELINE = '''"""Toy."""
from gendistill.evaluation.protocols import Protocol
from gendistill.nets.convnet import ConvNet
from gendistill.objectives.mode_pull import ModePull
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.learning.training import Training

short = Training(epochs=1, batch=8)
steps = (Sample(steps=4, scheduler="DDPM"), Optimize((ModePull(),), steps=2))
recipe = Recipe(real=ToyData(), prior=Toy(), steering=steps, ipc=3, block=2)
protocol = Protocol(name="tiny", student=ConvNet(depth=2, width=8), training=short, students=1, full=short)
'''


def launch(folder, processes):
    (folder / "toy.py").write_text(PIPELINE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gendistill",
        "run",
        str(folder / "toy.py"),
        "--out",
        str(folder / "out"),
        "--device",
        "cpu",
    ]
    running = []
    for rank in range(processes):
        env = {**os.environ, "GENDISTILL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        if processes > 1:
            env |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
        running.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said[-2000:]
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob("out/**/*.safetensors"))} | {
        path.relative_to(folder): path.read_bytes() for path in folder.glob("out/dataset/data/*")
    }


def test_two_processes_make_what_one_makes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = launch(tmp_path / "one", 1), launch(tmp_path / "two", 2)
    assert one and one == two


def test_processes_wait_for_each_other_for_days(monkeypatch):
    asked = []
    met = SimpleNamespace(wait_for_everyone=lambda: asked.append("waited"))
    monkeypatch.setattr("accelerate.PartialState", lambda **words: asked.append(words["timeout"]) or met)
    ranks.wait()
    assert not asked
    monkeypatch.setenv("WORLD_SIZE", "2")
    ranks.wait()
    assert asked[0] >= timedelta(days=7) and asked[1:] == ["waited"]
    assert asked[0] / timedelta(milliseconds=1) < 2**31
