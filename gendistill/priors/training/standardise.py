"""Latents with mean 0 and deviation 1 in every channel, by changing two linear layers of the autoencoder, not its answers.

Stock pipelines scale all channels by one number and shift none; a channel with a large mean or a small deviation would
then be badly placed among the noise levels. The 1x1 convolutions around the latents can absorb any shift and scale.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from gendistill.priors.training.reading import Read

AT_MOST = 4096
BLOCK = 64


@torch.no_grad()
def standardise(vae: AutoencoderKL, read: Read, pictures: int) -> AutoencoderKL:
    """The same autoencoder, changed in place so that its latents are standardised over the training pictures.

    pictures  how many there are; at most `AT_MOST`, evenly spaced, are looked at
    """
    inner: Any = vae
    device = inner.quant_conv.weight.device
    positions = torch.linspace(0, pictures - 1, min(pictures, AT_MOST)).long()
    found = [inner.encode(read(part).to(device)).latent_dist.mode().float() for part in positions.split(BLOCK)]
    latents = torch.cat(found).double().transpose(0, 1).flatten(1)  # (c, n h w)
    mean = latents.mean(1).float()
    std = latents.std(1, unbiased=False).clamp_min(1e-6).float()
    channels, into, back = len(mean), inner.quant_conv, inner.post_quant_conv
    back.bias.add_(back.weight[:, :, 0, 0] @ mean)
    back.weight.mul_(std.view(1, -1, 1, 1))
    into.weight[:channels].div_(std.view(-1, 1, 1, 1))
    into.bias[:channels].sub_(mean).div_(std)
    into.bias[channels:].sub_(2 * std.log())  # the other half are log-variances
    return vae
