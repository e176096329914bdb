"""First stage: a small ``AutoencoderKL`` that turns pictures into latents and back.

Kingma & Welling, 2014; loss = mean |x - decode(z)| + kl_weight mean KL(q(z | x) | N(0, 1)), z drawn from q.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from gendistill import seeds
from gendistill.priors.training import checkpoints
from gendistill.priors.training.loop import Batch, Stage, optimize
from gendistill.priors.training.reading import Read, mirrored
from gendistill.priors.training.settings import PriorTraining

NAME = "autoencoder"


def build(settings: PriorTraining, channels: int, seed: int) -> AutoencoderKL:
    """An autoencoder with fresh weights that follow from the seed."""
    widths = settings.block_out_channels or ()
    with seeds.as_global(seeds.number(seed, NAME, "weights")):
        return AutoencoderKL(
            in_channels=channels,
            out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * len(widths),  # type: ignore[arg-type]
            up_block_types=("UpDecoderBlock2D",) * len(widths),  # type: ignore[arg-type]
            block_out_channels=widths,  # type: ignore[arg-type]
            layers_per_block=1,
            latent_channels=settings.latent_channels,
            norm_num_groups=math.gcd(*widths, 8),
            sample_size=settings.resolution or 0,
            mid_block_add_attention=False,
        )


class Reconstruction(nn.Module):
    """The loss as a module, so that several processes share one backward pass through encoder and decoder."""

    def __init__(self, vae: AutoencoderKL, kl_weight: float) -> None:
        """``kl_weight`` is per latent number, against a mean over pixels."""
        super().__init__()
        self.vae, self.kl_weight = vae, kl_weight

    def forward(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of pictures in [-1, 1], with the posterior drawn by ``noise``."""
        posterior = self.vae.encode(pixels).latent_dist  # type: ignore[union-attr]
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        answer = self.vae.decode(mean + noise * (0.5 * log_variance).exp()).sample  # type: ignore[union-attr]
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return (answer.float() - pixels).abs().mean() + self.kl_weight * divergence


def train_autoencoder(
    settings: PriorTraining,
    read: Read,
    shape: tuple[int, int],
    folder: Path,
    accelerator: Accelerator,
    *,
    seed: int,
    progress: Callable[..., Iterable],
) -> AutoencoderKL:
    """The trained autoencoder, read from ``folder/trained`` if it was finished before.

    shape  (pictures, channels) of the training data
    """
    trained = folder / "trained"
    if trained.is_dir():
        return AutoencoderKL.from_pretrained(str(trained)).eval()
    pictures, channels = shape
    steps, batch, factor = settings.vae_train_steps, settings.vae_train_batch_size, settings.downsample
    rate = settings.vae_learning_rate
    assert steps and batch and rate and factor and settings.resolution, "settings are complete"
    side = settings.resolution // factor

    def loss(model: nn.Module, now: Batch) -> Tensor:
        pixels = read(now.positions[now.mine])
        noise = torch.randn((batch, settings.latent_channels, side, side), generator=now.dice)[now.mine]
        if settings.random_flip:
            pixels = mirrored(pixels, (torch.rand(batch, generator=now.dice) < 0.5)[now.mine])
        return model(pixels.to(accelerator.device), noise.to(accelerator.device))

    stage = Stage(
        name=NAME,
        folder=folder,
        model=Reconstruction(build(settings, channels, seed), settings.kl_weight),
        loss=loss,
        pictures=pictures,
        steps=steps,
        batch=batch,
        accumulation=1,
        learning_rate=rate,
        weight_decay=settings.adam_weight_decay,
        lr_scheduler="cosine",
        warmup=min(50, steps // 10),
        max_grad_norm=settings.max_grad_norm,
        ema=None,
        checkpointing_steps=settings.checkpointing_steps,
        checkpoints_total_limit=1,
    )
    model = optimize(stage, accelerator, seed=seed, resume=checkpoints.chosen(folder, "latest"), progress=progress)
    vae: AutoencoderKL = model.vae  # type: ignore[assignment]
    checkpoints.write_folder(
        trained, lambda part: accelerator.is_main_process and vae.save_pretrained(str(part)), accelerator
    )
    return vae
