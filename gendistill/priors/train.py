"""Train a small class-conditional latent diffusion prior on one's own pictures: autoencoder, latents, denoiser, folder.

The folder is a stock diffusers ``DiTPipeline``. Under ``torchrun`` every process takes its slice of each batch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from gendistill.context import silent
from gendistill.priors.training.autoencoder import train_autoencoder
from gendistill.priors.training.claim import begin
from gendistill.priors.training.denoiser import train_denoiser
from gendistill.priors.training.latents import encode_all
from gendistill.priors.training.loop import launch
from gendistill.priors.training.publish import INDEX, publish, write_card
from gendistill.priors.training.reading import reader
from gendistill.priors.training.rows import id2label, label_rows
from gendistill.priors.training.settings import PriorTraining
from gendistill.priors.training.sizes import complete
from gendistill.system.devices import device_of
from gendistill.types import Images

__all__ = ["PriorTraining", "train_prior"]


def train_prior(
    images: Images,
    folder: Path,
    settings: PriorTraining = PriorTraining(),  # noqa: B008 (frozen)
    *,
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: Callable[..., Iterable] = silent,
    resume_from_checkpoint: str | None = None,
    name: str = "unnamed data",
    licence: str = "unknown",
) -> Path:
    """Train on ``images`` and return ``folder``, a ``DiTPipeline`` with a model card; a finished one is left as it is.

    device                  where to compute; "auto" takes a GPU where there is one
    resume_from_checkpoint  "latest" (begins anew where there is nothing to resume), or a checkpoint of the denoiser by
                            name or path; the stages before it resume by themselves
    name, licence           of the data, for the model card

    Raises:
        UserError: the sizes do not fit, or ``folder`` belongs to another training or to one that was interrupted.
    """
    folder = Path(folder)
    full = complete(settings, images)
    assert full.resolution and full.downsample
    torch_device = device_of(device)
    begun = begin(
        folder,
        full,
        images,
        seed=seed,
        device=torch_device,
        resume_from_checkpoint=resume_from_checkpoint,
        index=INDEX,
    )
    if begun is None:
        return folder
    accelerator, resume = begun
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
