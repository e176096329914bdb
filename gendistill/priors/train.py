"""Train a small class-conditional latent diffusion prior on one's own pictures: autoencoder, latents, denoiser, folder.

The folder is a stock diffusers ``DiTPipeline``. Under ``torchrun`` every process takes its slice of each batch.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import torch

from gendistill.context import silent
from gendistill.priors.training import checkpoints
from gendistill.priors.training.autoencoder import train_autoencoder
from gendistill.priors.training.denoiser import train_denoiser
from gendistill.priors.training.latents import encode_all
from gendistill.priors.training.loop import launch
from gendistill.priors.training.publish import INDEX, publish, write_card
from gendistill.priors.training.reading import reader
from gendistill.priors.training.rows import id2label, label_rows
from gendistill.priors.training.settings import PriorTraining
from gendistill.priors.training.sizes import complete
from gendistill.store import clear_parts, write_json
from gendistill.types import Images, UserError

__all__ = ["PriorTraining", "train_prior"]
log = logging.getLogger("gendistill")
FREE = ("checkpointing_steps", "checkpoints_total_limit")
"""Settings that do not change the weights: they may differ when a training is resumed."""


def train_prior(
    images: Images,
    folder: Path,
    settings: PriorTraining = PriorTraining(),  # noqa: B008 (frozen)
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Callable[..., Iterable] = silent,
    resume_from_checkpoint: str | None = None,
    name: str = "unnamed data",
    licence: str = "unknown",
) -> Path:
    """Train on ``images`` and return ``folder``, a ``DiTPipeline`` with a model card; a finished one is left as it is.

    resume_from_checkpoint  "latest" (begins anew where there is nothing to resume), or a checkpoint of the denoiser by
                            name or path; the stages before it resume by themselves
    name, licence           of the data, for the model card

    Raises:
        UserError: the sizes do not fit, or ``folder`` belongs to another training or to one that was interrupted.
    """
    folder = Path(folder)
    full = complete(settings, images)
    assert full.resolution and full.downsample
    if full.mixed_precision == "fp16" and torch.device(device).type == "cpu":
        raise UserError('mixed_precision="fp16" needs a GPU; on a CPU use "bf16" or "no"')
    identity = {
        "data": images.fingerprint,
        "seed": seed,
        "settings": {k: v for k, v in asdict(full).items() if k not in FREE},
    }
    if not claim(folder, json.loads(json.dumps(identity)), resume_from_checkpoint):
        return folder
    resume = checkpoints.chosen(folder, resume_from_checkpoint)
    torch_device = torch.device(device)
    accelerator = launch(torch_device, full.mixed_precision, 1)
    if accelerator.is_main_process:
        clear_parts(folder)
        write_json(folder / "training.json", identity)
    accelerator.wait_for_everyone()
    work = folder / "autoencoder"
    read, channels = reader(images, full.resolution), images.shape[0]
    vae = train_autoencoder(full, read, (len(images), channels), work, accelerator, seed=seed, progress=progress)
    side = full.resolution // full.downsample
    latents = encode_all(
        vae,
        read,
        len(images),
        (full.latent_channels, side, side),
        work,
        accelerator,
        mirrored=full.random_flip,
        progress=progress,
    )
    accelerator = launch(torch_device, full.mixed_precision, full.gradient_accumulation_steps)
    label_row = torch.tensor(label_rows(images.classes))[images.labels]
    denoiser = train_denoiser(
        full, latents, label_row, folder, accelerator, seed=seed, resume=resume, progress=progress
    )
    if accelerator.is_main_process:
        write_card(folder, full, images, seed=seed, data=name, licence=licence)
        publish(vae, denoiser, latents.scale, id2label(images.classes), folder)
        shutil.rmtree(work)
    accelerator.wait_for_everyone()
    return folder


def claim(folder: Path, identity: dict, resume_from_checkpoint: str | None) -> bool:
    """Whether there is anything left to do in ``folder`` for this training.

    Raises:
        UserError: the folder belongs to another training, or to an interrupted one that was not asked to resume.
    """
    note = folder / "training.json"
    if not note.exists():
        if (folder / INDEX).exists():
            raise UserError(f"{folder} holds a pipeline that was not trained here; choose another output folder")
        folder.mkdir(parents=True, exist_ok=True)
        return True
    before = json.loads(note.read_text())
    if before != identity:
        told = [
            f"{key}: {old!r}, now {identity[key]!r}"
            for key, old in before.items()
            if key != "settings" and old != identity[key]
        ]
        asked = identity["settings"]
        told += [
            f"{key}: {old!r}, now {asked.get(key)!r}"
            for key, old in before["settings"].items()
            if old != asked.get(key)
        ]
        raise UserError(
            f"{folder} belongs to a training with other settings ({'; '.join(told)}); choose another output folder"
        )
    if (folder / INDEX).exists():
        shutil.rmtree(folder / "autoencoder", ignore_errors=True)  # left where the process ended just then
        log.info("the prior in %s is finished", folder)
        return False
    if resume_from_checkpoint is None and (folder / "autoencoder").exists():
        names = ", ".join(path.name for path in checkpoints.found(folder).values()) or "the autoencoder's stage"
        raise UserError(
            f'{folder} holds an interrupted training ({names}); resume it with resume_from_checkpoint="latest", '
            "or choose another output folder"
        )
    return True
