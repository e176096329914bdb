"""How a small class-conditional latent diffusion prior is trained: settings, and the sizes that follow from the pictures.

Names are those of diffusers' example scripts where these have one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gendistill.types import Class, Images, UserError

LABEL_ROWS = 1000
"""Label rows of every prior; diffusers' ``DiTPipeline`` fixes the row after them as the one that asks for no class."""
LR_SCHEDULERS = ("cosine", "linear", "polynomial", "constant", "constant_with_warmup", "cosine_with_restarts")


@dataclass(frozen=True, kw_only=True)
class PriorTraining:
    """Settings of both networks. ``None`` means: by the rule of `sizes`, which goes by the resolution.

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
    vae_learning_rate: float = 2e-3
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


RULE: tuple[tuple[int, Mapping[str, object]], ...] = (
    (
        16,
        {
            "downsample": 4,
            "block_out_channels": (16, 32, 64),
            "vae_train_steps": 500,
            "vae_train_batch_size": 64,
            "patch_size": 1,
            "num_layers": 4,
            "hidden_size": 128,
            "max_train_steps": 2000,
            "train_batch_size": 64,
            "learning_rate": 1e-3,
        },
    ),
    (
        32,
        {
            "downsample": 4,
            "block_out_channels": (32, 64, 128),
            "vae_train_steps": 4000,
            "vae_train_batch_size": 64,
            "patch_size": 2,
            "num_layers": 8,
            "hidden_size": 256,
            "max_train_steps": 20_000,
            "train_batch_size": 128,
            "learning_rate": 5e-4,
        },
    ),
    (
        64,
        {
            "downsample": 8,
            "block_out_channels": (32, 64, 128, 128),
            "vae_train_steps": 6000,
            "vae_train_batch_size": 32,
            "patch_size": 1,
            "num_layers": 8,
            "hidden_size": 256,
            "max_train_steps": 20_000,
            "train_batch_size": 128,
            "learning_rate": 5e-4,
        },
    ),
)
LARGE: Mapping[str, object] = {
    "downsample": 8,
    "block_out_channels": (64, 128, 256, 256),
    "vae_train_steps": 50_000,
    "vae_train_batch_size": 32,
    "patch_size": 2,
    "num_layers": 12,
    "hidden_size": 384,
    "max_train_steps": 200_000,
    "train_batch_size": 256,
    "learning_rate": 2e-4,
}


def sizes(resolution: int) -> Mapping[str, object]:
    """The rule: sizes of both networks for pictures of this side, chosen so that the denoiser sees 16 to 64 tokens up to 64 px."""
    return next((row for limit, row in RULE if resolution <= limit), LARGE)


def complete(settings: PriorTraining, images: Images) -> PriorTraining:
    """The settings with nothing left open: what is ``None`` is taken from the pictures and from the rule.

    Raises:
        UserError: the sizes do not fit each other or the pictures; all before any work.
    """
    _, height, width = images.shape
    if height != width:
        raise UserError(
            f"a prior is trained on square pictures, these are {height} x {width}; give them one size first (size=...)"
        )
    side = settings.resolution or height
    rule = sizes(side)
    given = replace(settings, resolution=side, **{name: rule[name] for name in rule if getattr(settings, name) is None})
    if settings.downsample is not None and settings.block_out_channels is None:
        levels, widths = settings.downsample.bit_length(), tuple(rule["block_out_channels"])  # type: ignore[arg-type]
        given = replace(given, block_out_channels=(widths + widths[-1:] * levels)[:levels])
    check_sizes(given)
    check_data(images)
    return given


def check_sizes(settings: PriorTraining) -> None:
    """Raise `UserError` if complete settings contradict each other."""
    side, factor, patch = settings.resolution, settings.downsample, settings.patch_size
    widths = settings.block_out_channels or ()
    assert side and factor and patch and settings.hidden_size, "complete() fills these"
    if factor != 2 ** (len(widths) - 1):
        raise UserError(
            f"downsample={factor} needs {factor.bit_length()} block_out_channels (one per halving, and the pictures' own), "
            f"given {len(widths)}: {widths}; downsample is a power of two"
        )
    if side % (factor * patch):
        near = max(1, round(side / (factor * patch))) * factor * patch
        raise UserError(
            f"resolution={side} is not divisible by downsample x patch_size = {factor} x {patch} = {factor * patch}; "
            f"nearest that is: {near}"
        )
    if settings.hidden_size % settings.attention_head_dim:
        raise UserError(
            f"hidden_size={settings.hidden_size} is not divisible by attention_head_dim={settings.attention_head_dim}"
        )
    for name, known in (("lr_scheduler", LR_SCHEDULERS), ("mixed_precision", ("no", "bf16", "fp16"))):
        if getattr(settings, name) not in known:
            near = difflib.get_close_matches(str(getattr(settings, name)), known, n=1)
            raise UserError(
                f"{name}={getattr(settings, name)!r} is none of {', '.join(known)}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    counts = (
        "vae_train_steps",
        "vae_train_batch_size",
        "max_train_steps",
        "train_batch_size",
        "gradient_accumulation_steps",
        "checkpointing_steps",
        "latent_channels",
        "num_layers",
    )
    for name in counts:
        if getattr(settings, name) < 1:
            raise UserError(f"{name}={getattr(settings, name)} must be at least 1")
    if settings.checkpoints_total_limit is not None and settings.checkpoints_total_limit < 1:
        raise UserError(
            f"checkpoints_total_limit={settings.checkpoints_total_limit} must be at least 1, or None to keep all"
        )


def check_data(images: Images) -> None:
    """Raise `UserError` if a prior cannot be trained on these pictures."""
    if len(images) < 2:
        raise UserError(f"a prior needs at least 2 pictures to learn from, these are {len(images)}")
    if len(images.classes) > LABEL_ROWS:
        raise UserError(
            f"a DiTPipeline has {LABEL_ROWS} label rows, the data has {len(images.classes)} classes; train on a subset of them"
        )


def label_rows(classes: tuple[Class, ...]) -> tuple[int, ...]:
    """The label row of each class: its ImageNet index where every class is an ImageNet synset, else its position."""
    from timm.data.imagenet_info import ImageNetInfo

    if not all(c.wnid for c in classes):
        return tuple(range(len(classes)))
    rows = {wnid: row for row, wnid in enumerate(ImageNetInfo().label_names())}
    if not all(c.wnid in rows for c in classes):
        return tuple(range(len(classes)))
    return tuple(rows[str(c.wnid)] for c in classes)
