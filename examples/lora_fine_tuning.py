"""Fine-tune a text-to-image pipeline on your own photographs by LoRA, and draw with it in stock diffusers.

    python examples/lora_fine_tuning.py stable-diffusion-v1-5/stable-diffusion-v1-5 photos --out my-lora

A folder holds one folder of pictures per class, which are learned as "a photo of a CLASS". Works with Stable Diffusion
1 to 3, SDXL, Sana and Flux. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from gendistill.data.folder import Folder
from gendistill.finetuning import FineTuning, finetune
from gendistill.prompts import Prompts
from gendistill.system.progress import progress

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pipeline", help="hub id or folder")
parser.add_argument("photos", help="a folder of class folders")
parser.add_argument("--size", type=int, default=512, help="side of the pictures, in pixels")
parser.add_argument("--rank", type=int, default=8)
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--out", type=Path, default=Path("my-lora"))


def main() -> None:
    """Train, then draw one picture of every class."""
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    photos = Folder(train=args.photos, size=args.size, channels=3).open()
    settings = FineTuning(
        resolution=args.size,
        rank=args.rank,
        lora_alpha=2 * args.rank,
        max_train_steps=args.steps,
        train_batch_size=2,
        gradient_checkpointing=True,
        mixed_precision="bf16" if device == "cuda" else "no",
        validation_steps=250,
    )
    finetune(
        args.pipeline,
        photos,
        args.out,
        settings,
        device=device,
        progress=progress,
        resume_from_checkpoint="latest",
    )

    # From here on it is diffusers as usual.
    pipe: Any = DiffusionPipeline.from_pretrained(args.pipeline).to(device)
    pipe.load_lora_weights(str(args.out))
    for one in photos.classes:
        image = pipe(Prompts().of(one), height=args.size, width=args.size).images[0]
        image.save(args.out / f"{one.name}.png")
    print(f"{args.out}: the changes, and a picture of each of {len(photos.classes)} classes")


if __name__ == "__main__":
    main()
