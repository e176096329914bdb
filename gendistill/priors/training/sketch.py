"""What a training would cost, and a prior that costs what the trained one will, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from gendistill.context import together
from gendistill.priors.training import autoencoder, denoiser
from gendistill.priors.training.settings import PriorTraining
from gendistill.priors.training.sizes import complete
from gendistill.types import Images
from gendistill.work import Work


def untrained(settings: PriorTraining, images: Images) -> DiTPipeline:
    """A pipeline of the right sizes with fresh weights."""
    full = complete(settings, images)
    parts: Any = {
        "transformer": denoiser.build(full, 0),
        "vae": autoencoder.build(full, images.shape[0], 0),
        "scheduler": denoiser.noise_schedule(),
    }
    return DiTPipeline(**parts)


def work(settings: PriorTraining, images: Images, device: torch.device) -> Iterable[Work]:
    """Optimiser steps of both networks, and the encoding between them."""
    full = complete(settings, images)
    assert full.vae_train_batch_size and full.vae_train_steps and full.train_batch_size and full.max_train_steps
    assert full.resolution and full.downsample
    side = full.resolution // full.downsample
    shape = (full.latent_channels, side, side)
    pipe = untrained(settings, images)
    batch = full.vae_train_batch_size
    model = autoencoder.Reconstruction(pipe.vae.to(device), full.kl_weight)
    pixels = torch.rand(batch, images.shape[0], full.resolution, full.resolution, device=device)
    noise = torch.randn(batch, *shape, device=device)
    yield Work("autoencoder", full.vae_train_steps, step(model, lambda: model(pixels, noise)), shared=True, rows=batch)
    block = pixels[: together(pixels.shape)]
    copies = 2 if full.random_flip else 1

    @torch.no_grad()
    def encode() -> object:
        return model.vae.encode(block)

    yield Work("encode", copies * len(images) / len(block), encode, shared=True, rows=len(block))
    batch, net = full.train_batch_size, pipe.transformer.to(device)
    x, t = torch.randn(batch, *shape, device=device), torch.zeros(batch, dtype=torch.long, device=device)
    calls = full.max_train_steps * full.gradient_accumulation_steps
    ema = EMAModel(net.parameters(), foreach=True)

    def loss() -> Tensor:
        ema.step(net.parameters())
        return net(x, timestep=t, class_labels=t, return_dict=False)[0].square().mean()

    yield Work("denoiser", calls, step(net, loss), shared=True, rows=batch)


def step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One optimiser step of a throw-away model."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    @torch.enable_grad()
    def once() -> None:
        model.train()
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return once
