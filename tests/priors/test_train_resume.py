"""A killed training ends with the weights of one that was not; several processes end with those of one, but for rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import DiTPipeline

from gendistill.priors.style_generator import StyleGenerator
from gendistill.priors.train_gan import train_gan
from gendistill.priors.training import checkpoints
from tests.priors.killed_training import GAN, pictures

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> str:
    """What a program prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


FAMILIES = {"diffusion": ([], "model_index.json"), "gan": (["--gan"], "config.json")}
"""What the program is told, and the file that a finished training leaves last."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def told(folder) -> Callable[[str], dict]:
    @cache
    def tell(family: str) -> dict:
        words = [str(folder / family), *FAMILIES[family][0]]
        return json.loads(run(sys.executable, "-m", "tests.priors.killed_training", *words))

    return tell


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_and_resumed_equals_uninterrupted(told, family):
    found = told(family)
    assert all(found["killed"]), "an attempt was meant to be killed and ended by itself"
    assert all(found["ended"])
    assert len(found["whole"]) == 2
    assert found["broken"] == found["whole"]


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_half_written_is_left(told, family):
    left = told(family)["left"]
    assert FAMILIES[family][1] in left
    assert not [name for name in left if name.endswith(".part") or name == "autoencoder"]
    assert [name for name in left if name.startswith("checkpoint-")] == ["checkpoint-12", "checkpoint-15"]


def test_an_old_checkpoint_that_a_kill_kept_is_dropped_at_the_end(tmp_path, monkeypatch):
    drop = checkpoints.drop

    def killed(accelerator, folder, total_limit):
        if max(checkpoints.found(folder)) == 15:
            raise KeyboardInterrupt
        drop(accelerator, folder, total_limit)

    monkeypatch.setattr(checkpoints, "drop", killed)
    with pytest.raises(KeyboardInterrupt):
        train_gan(pictures(), tmp_path, GAN, seed=5)
    assert list(checkpoints.found(tmp_path)) == [9, 12, 15]
    monkeypatch.setattr(checkpoints, "drop", drop)
    train_gan(pictures(), tmp_path, GAN, seed=5, resume_from_checkpoint="latest")
    assert list(checkpoints.found(tmp_path)) == [12, 15]


def twice(folder: Path, words: list[str]) -> Path:
    """The same training by two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    run(*launcher, "-m", "tests.priors.killed_training", str(folder), "--once", *words)
    return folder


def test_two_processes_equal_one(told, folder, tmp_path):
    told("diffusion")
    one, two = (
        DiTPipeline.from_pretrained(str(path)) for path in (folder / "diffusion" / "whole", twice(tmp_path / "two", []))
    )
    pixels, noise = (
        pictures().pixels(range(23)) * 2 - 1,
        torch.randn((23, 2, 4, 4), generator=torch.Generator().manual_seed(0)),
    )
    times, rows = torch.arange(23) * 43, torch.arange(23) % 3
    with torch.no_grad():
        # Answers, not weights: a weight that has no effect has only rounding for a gradient, and Adam makes steps of that.
        seen = [pipe.vae(pixels).sample for pipe in (one, two)]
        torch.testing.assert_close(seen[1], seen[0], atol=2e-3, rtol=0)
        answers = [pipe.transformer(noise, timestep=times, class_labels=rows).sample for pipe in (one, two)]
        torch.testing.assert_close(answers[1], answers[0], atol=2e-3, rtol=0)
        assert answers[0].std() > 0.01, "the comparison would say nothing about an untrained network"


def test_two_processes_train_the_same_generator(told, folder, tmp_path):
    told("gan")
    one, two = (
        StyleGenerator.from_pretrained(str(path))
        for path in (folder / "gan" / "whole", twice(tmp_path / "two", ["--gan"]))
    )
    z, rows = torch.randn((23, 8), generator=torch.Generator().manual_seed(0)), torch.arange(23) % 3
    with torch.no_grad():
        seen = [net(z, rows) for net in (one, two)]
    torch.testing.assert_close(seen[1], seen[0], atol=2e-3, rtol=0)
    assert seen[0].std() > 0.01, "the comparison would say nothing about an untrained network"
