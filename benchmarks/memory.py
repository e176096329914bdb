"""Peak memory of a run against the number of classes, each with 100 MB of real pictures (512 of 256 x 256, RGB).

    python benchmarks/memory.py [--classes 10 100]

A small random prior samples from the modes of every class, and the set is exported. What counts is the anonymous memory above
what the process held after loading the prior: the pages of the memory-mapped data set are the system's to drop, and are shown
beside it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PER_CLASS, SIDE = 512, 256


def write_data(folder: Path, classes: int) -> None:
    """Parquet files with smooth random pictures, JPEG, a class a file, all of it near one pattern, which a teacher can learn."""
    import datasets
    import numpy as np
    from PIL import Image

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[f"c{i}" for i in range(classes)])}
    )
    for index in range(classes):
        dice = np.random.default_rng(index)
        rows, pattern = {"image": [], "label": [index] * PER_CLASS}, dice.integers(32, 224, (6, 6, 3))
        for _ in range(PER_CLASS):
            small = Image.fromarray((pattern + dice.integers(-32, 32, pattern.shape)).astype(np.uint8))
            buffer = io.BytesIO()
            small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=60)
            rows["image"].append({"bytes": buffer.getvalue(), "path": None})
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"train-{index:04d}.parquet")


def write_prior(folder: Path, classes: int) -> None:
    """A random pipeline of the right shapes: velocities keep its latents in range, and its pictures are grey, not black."""
    import diffusers
    import torch

    torch.manual_seed(0)
    vae = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4, 4, 4, 4), decoder_block_out_channels=(4, 4, 4, 4), num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1), latent_channels=4,
    )  # fmt: skip
    last = vae.decoder.layers[-1]
    with torch.no_grad():
        last.weight.mul_(4.0)
        last.bias.fill_(0.5)
    denoiser = diffusers.DiTTransformer2DModel(
        num_attention_heads=1, attention_head_dim=16, in_channels=4, out_channels=4, num_layers=1,
        sample_size=SIDE // 8, patch_size=4, num_embeds_ada_norm=1000,
    )  # fmt: skip
    schedule = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": False}
    pipe = diffusers.DiTPipeline(denoiser, vae, diffusers.DDIMScheduler(**schedule))
    pipe.register_to_config(id2label={str(i): f"c{i}" for i in range(classes)})
    pipe.save_pretrained(folder)


def resident(process: int | str = "self") -> dict[str, int]:
    """Anonymous and file-mapped bytes of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return {name: int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile") if name in lines}


def child(folder: Path) -> None:
    """One run; says when data and prior are open, and waits for a word before it begins."""
    import torch

    from gendistill.anchors.modes import Modes
    from gendistill.data.parquet import Parquet
    from gendistill.exporting.export import export
    from gendistill.priors.latent_diffusion import LatentDiffusion
    from gendistill.recipe import Recipe
    from gendistill.running.distill import distill, open_context
    from gendistill.steering.sample import Sample
    from gendistill.steering.start import Start

    recipe = Recipe(
        real=Parquet(train=str(folder / "data"), size=SIDE), prior=LatentDiffusion(str(folder / "prior")),
        steering=(Start(Modes()), Sample(steps=2, strength=1.0)), ipc=10,
    )  # fmt: skip
    context = open_context(recipe, torch.device("cpu"), torch.float32, lambda items, *_: items)
    print("ready", flush=True)
    sys.stdin.readline()
    export(distill(recipe, folder / "out", context=context), folder / "dataset")


def watched(command: list[str], env: dict[str, str]) -> dict[str, dict[str, int]]:
    """What a run held when it was ready, and at its peak.

    Looked at from outside, a thousand times a second: scratch space of a convolution lives for milliseconds, and a slow look
    would find it the more surely the longer a run takes.
    """
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin and run.stdout
        if run.stdout.readline().strip() != "ready":
            raise SystemExit("the run ended before it was ready")
        before, peak = resident(run.pid), {"RssAnon": 0, "RssFile": 0}
        run.stdin.write("go\n")
        run.stdin.flush()
        while run.poll() is None:
            for name, value in resident(run.pid).items():
                peak[name] = max(peak[name], value)
            time.sleep(0.0005)
        if run.returncode:
            raise SystemExit(f"the run failed with {run.returncode}")
    return {"before": before, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    results = []
    for classes in given.classes:
        with tempfile.TemporaryDirectory(prefix="memory-") as name:
            folder = Path(name)
            (folder / "data").mkdir()
            write_data(folder / "data", classes)
            write_prior(folder / "prior", classes)
            env = {**os.environ, "GENDISTILL_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")}
            found = watched([sys.executable, __file__, "--child", name], env)
        grown = found["peak"]["RssAnon"] - found["before"]["RssAnon"]
        results.append({"classes": classes, "MB of pictures a class": PER_CLASS * SIDE * SIDE * 3 / 1e6,
                        "anonymous MB above start": grown / 1e6, "mapped MB at peak": found["peak"]["RssFile"] / 1e6})  # fmt: skip
        print(json.dumps(results[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
