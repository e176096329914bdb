"""Steer a stock diffusers pipeline towards your own photographs: our guides in its ``callback_on_step_end``.

    python examples/steer_a_stock_pipeline.py stable-diffusion-v1-5/stable-diffusion-v1-5 photos --out steered

A folder holds one folder of pictures per class. Works with Stable Diffusion 1 to 3, SDXL, Sana and Flux.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DiffusionPipeline

from gendistill.anchors.modes import Modes
from gendistill.data.folder import Folder
from gendistill.objectives.mode_pull import ModePull
from gendistill.steering.callback import as_callback
from gendistill.steering.guide import Guide

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pipeline", help="hub id or folder")
parser.add_argument("photos", help="a folder of class folders")
parser.add_argument("--size", type=int, default=512, help="side of the pictures that are drawn")
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--weight", type=float, default=0.2)
parser.add_argument("--out", type=Path, default=Path("steered"))


def main() -> None:
    """Draw one picture of every class, pulled towards the mean latent of the photographs of that class."""
    args = parser.parse_args()
    pipe: Any = DiffusionPipeline.from_pretrained(args.pipeline)
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    if pipe.scheduler.config.get("prediction_type") in ("epsilon", "v_prediction"):  # a flow keeps its own
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)

    # From here on it is diffusers as usual, and one argument more.
    photos = Folder(train=args.photos, size=args.size, channels=3).open()
    names, count = [one.name for one in photos.classes], len(photos.classes)
    side = args.size // pipe.vae_scale_factor
    latents = torch.randn(
        count, pipe.vae.config.latent_channels, side, side, generator=torch.Generator().manual_seed(0)
    )
    latents = latents.to(pipe.device, pipe.dtype)
    if hasattr(pipe, "_pack_latents"):
        latents = pipe._pack_latents(latents, *latents.shape)
    guides = [Guide(ModePull(Modes(count=1), weight=args.weight), window=(0.3, 1.0))]
    prompts = [f"a photo of a {name}" for name in names]
    steered = as_callback(guides, pipe, photos, labels=range(count), prompts=prompts, latents=latents, size=args.size)
    images = pipe(
        prompts,
        latents=latents,
        height=args.size,
        width=args.size,
        num_inference_steps=args.steps,
        callback_on_step_end=steered,
    ).images

    args.out.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        image.save(args.out / f"{name}.png")
    print(f"{count} pictures in {args.out}")


if __name__ == "__main__":
    main()
