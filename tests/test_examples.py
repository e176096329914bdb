"""The short programs in `examples/` run as they are, on tiny pipelines and without a network."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from gendistill.pictures import to_pil
from tests.parts_under_test import save_clip
from tests.priors.tiny_pipelines import tiny

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture
def pipeline(tmp_path):
    tiny("stable_diffusion").save_pretrained(tmp_path / "pipeline")
    return tmp_path / "pipeline"


@pytest.fixture
def photos(tmp_path):
    stream = torch.Generator().manual_seed(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            picture = torch.randint(0, 256, (3, 8, 8), generator=stream, dtype=torch.uint8)
            to_pil(picture).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs an example as its own program, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def program(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return program


def sizes(folder):
    found = {}
    for file in sorted(folder.glob("*.png")):
        with Image.open(file) as picture:
            found[file.name] = picture.size
    return found


def test_a_subset_from_prompts(run, pipeline, tmp_path, capsys):
    (tmp_path / "clip").mkdir()
    clip = save_clip(tmp_path / "clip")
    run("subset_from_prompts.py", pipeline, "--subset", "imagenette", "--ipc", 1, "--steps", 2, "--clip", clip, clip)
    said = capsys.readouterr().out
    assert "tench (n01440764): a photo of a tench" in said
    assert list((tmp_path / "subset" / "data").glob("*.parquet"))


def test_lora_fine_tuning(run, pipeline, photos, tmp_path):
    run("lora_fine_tuning.py", pipeline, photos, "--size", 8, "--rank", 1, "--steps", 2)
    with safe_open(tmp_path / "my-lora" / "pytorch_lora_weights.safetensors", "pt") as file:
        assert any(bool(file.get_tensor(name).any()) for name in file.keys() if "lora_B" in name)  # noqa: SIM118
    assert sizes(tmp_path / "my-lora") == {"cat.png": (8, 8), "dog.png": (8, 8)}


def test_steering_a_stock_pipeline(run, pipeline, photos, tmp_path):
    for weight in (0.2, 0.6):
        words = {"--size": 8, "--steps": 4, "--weight": weight, "--out": weight}
        run("steer_a_stock_pipeline.py", pipeline, photos, *(word for pair in words.items() for word in pair))
        assert sizes(tmp_path / str(weight)) == {"cat.png": (8, 8), "dog.png": (8, 8)}
    for name in ("cat.png", "dog.png"):
        one, other = ((tmp_path / weight / name).read_bytes() for weight in ("0.2", "0.6"))
        assert one != other, "nothing is steered"
