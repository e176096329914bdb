"""How a small class-conditional latent diffusion prior is trained.

Names are those of diffusers' example scripts where these have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PriorTraining:
    """Settings of both networks. ``None`` means: by the rule in sizes.py, which goes by the resolution.

    resolution                   side of the pictures in pixels; None keeps their own
    random_flip                  also learn the mirrored pictures (not for digits or text)
    downsample                   pixels per latent, along a side: 1, 2, 4, 8 ...
    latent_channels              channels of a latent
    block_out_channels           width of each resolution of the autoencoder, the pictures' own first
    kl_weight                    pull of the latents towards a standard normal, per latent number
    vae_train_steps              optimiser steps of the autoencoder
    vae_train_batch_size         pictures per step of the autoencoder, over all processes
    vae_learning_rate            highest learning rate of the autoencoder; it falls along a cosine
    num_layers                   transformer blocks of the denoiser
    hidden_size                  width of the denoiser
    attention_head_dim           width of one attention head; divides ``hidden_size``
    patch_size                   latents per token, along a side
    class_dropout_prob           share of pictures whose label is hidden, for classifier-free guidance
    max_train_steps              optimiser steps of the denoiser
    train_batch_size             pictures per forward pass of the denoiser, over all processes
    gradient_accumulation_steps  forward passes per optimiser step of the denoiser
    learning_rate                highest learning rate of the denoiser
    lr_scheduler                 a name that diffusers' ``get_scheduler`` knows
    lr_warmup_steps              optimiser steps until the highest learning rate
    adam_weight_decay            AdamW's weight decay, of both networks
    max_grad_norm                gradients longer than this are shortened to it
    ema_decay                    of the averaged weights that are published
    mixed_precision              "no", "bf16" or "fp16"
    checkpointing_steps          optimiser steps between checkpoints, of both networks
    checkpoints_total_limit      how many checkpoints are kept
    """

    resolution: int | None = None
    random_flip: bool = False
    downsample: int | None = None
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] | None = None
    kl_weight: float = 1e-4
    vae_train_steps: int | None = None
    vae_train_batch_size: int | None = None
    vae_learning_rate: float | None = None
    num_layers: int | None = None
    hidden_size: int | None = None
    attention_head_dim: int = 64
    patch_size: int | None = None
    class_dropout_prob: float = 0.1
    max_train_steps: int | None = None
    train_batch_size: int | None = None
    gradient_accumulation_steps: int = 1
    learning_rate: float | None = None
    lr_scheduler: str = "cosine"
    lr_warmup_steps: int = 100
    adam_weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing_steps: int = 500
    checkpoints_total_limit: int | None = 1
