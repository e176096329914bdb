"""Train a small class-conditional GAN prior on one's own pictures: two networks, one folder.

Under ``torchrun`` every process takes its slice of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from gendistill.context import channel_statistics, silent
from gendistill.priors.training.claim import begin
from gendistill.priors.training.gan import train_nets
from gendistill.priors.training.gan_publish import INDEX, publish, write_card
from gendistill.priors.training.gan_settings import GanTraining
from gendistill.priors.training.gan_sizes import complete
from gendistill.priors.training.reading import reader
from gendistill.system.devices import device_of
from gendistill.types import Images

__all__ = ["GanTraining", "train_gan"]


def train_gan(
    images: Images,
    folder: Path,
    settings: GanTraining = GanTraining(),  # noqa: B008 (frozen)
    *,
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: Callable[..., Iterable] = silent,
    resume_from_checkpoint: str | None = None,
    name: str = "unnamed data",
    licence: str = "unknown",
) -> Path:
    """Train on ``images`` and return ``folder``: a generator, its discriminator, a model card; a finished one is left as it is.

    device                  where to compute; "auto" takes a GPU where there is one
    resume_from_checkpoint  "latest" (begins anew where there is nothing to resume), or a checkpoint by name or path
    name, licence           of the data, for the model card

    Raises:
        UserError: the sizes do not fit, or ``folder`` belongs to another training or to one that was interrupted.
    """
    folder, full = Path(folder), complete(settings, images)
    assert full.resolution
    begun = begin(
        folder,
        full,
        images,
        seed=seed,
        device=device_of(device),
        resume_from_checkpoint=resume_from_checkpoint,
        index=INDEX,
    )
    if begun is None:
        return folder
    accelerator, resume = begun
    found = channel_statistics(images)
    game = train_nets(
        full,
        reader(images, full.resolution),
        images.labels,
        images.classes,
        (found["mean"].view(1, -1, 1, 1), found["std"].view(1, -1, 1, 1)),
        folder,
        accelerator,
        seed=seed,
        resume=resume,
        progress=progress,
    )
    if accelerator.is_main_process:
        write_card(folder, full, images, seed=seed, data=name, licence=licence)
        publish(game, folder)
    accelerator.wait_for_everyone()
    return folder
