"""How a small class-conditional GAN is trained. Names are those of diffusers' example scripts where these have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gendistill.views.siamese import Siamese


@dataclass(frozen=True, kw_only=True)
class GanTraining:
    """Settings of both networks. ``None`` means: by the rule in gan_sizes.py, which goes by the resolution.

    resolution               side of the pictures in pixels; None keeps their own
    random_flip              also learn the mirrored pictures (not for digits or text)
    block_out_channels       width of each resolution of both networks, the pictures' own first
    noise_size               numbers of noise a picture follows from, and of a class's embedding
    style_size               numbers of a style
    augment                  what happens to real and made pictures before they are judged; None for nothing
    gradient_penalty         weight of the squared gradients of the scores, by pixels in [0, 1], at real and made pictures
    penalty_steps            optimiser steps from one penalty to the next, which is so much stronger
    max_train_steps          optimiser steps, of both networks at once
    train_batch_size         real pictures per step, and as many made ones, over all processes; a multiple of 4 in each
    learning_rate            highest learning rate of Adam, of both networks
    lr_scheduler             a name that diffusers' ``get_scheduler`` knows
    lr_warmup_steps          optimiser steps until the highest learning rate
    ema_decay                of the generator's averaged weights, which are published
    mixed_precision          "no", "bf16" or "fp16"
    checkpointing_steps      optimiser steps between checkpoints
    checkpoints_total_limit  how many checkpoints are kept
    """

    resolution: int | None = None
    random_flip: bool = False
    block_out_channels: tuple[int, ...] | None = None
    noise_size: int = 64
    style_size: int = 128
    augment: Siamese | None = Siamese(("color", "crop", "cutout"))
    gradient_penalty: float | None = None
    penalty_steps: int = 4
    max_train_steps: int | None = None
    train_batch_size: int | None = None
    learning_rate: float | None = None
    lr_scheduler: str = "cosine"
    lr_warmup_steps: int = 100
    ema_decay: float | None = None
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing_steps: int = 500
    checkpoints_total_limit: int | None = 1
