"""The sizes of both networks that follow from the pictures, and whether they fit."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gendistill.priors.training.rows import LABEL_ROWS
from gendistill.priors.training.settings import PriorTraining
from gendistill.types import Images, UserError

LR_SCHEDULERS = ("cosine", "linear", "polynomial", "constant", "constant_with_warmup", "cosine_with_restarts")


@dataclass(frozen=True)
class Sizes:
    """What the rule decides; the names are those of `PriorTraining`."""

    downsample: int
    block_out_channels: tuple[int, ...]
    vae_train_steps: int
    vae_train_batch_size: int
    vae_learning_rate: float
    patch_size: int
    num_layers: int
    hidden_size: int
    max_train_steps: int
    train_batch_size: int
    learning_rate: float


RULE = (
    (16, Sizes(4, (16, 32, 32), 500, 32, 4e-3, 2, 4, 128, 2000, 64, 2e-3)),
    (32, Sizes(4, (32, 64, 128), 4000, 64, 2e-3, 2, 8, 256, 20_000, 128, 5e-4)),
    (64, Sizes(8, (32, 64, 128, 128), 6000, 32, 2e-3, 1, 8, 256, 20_000, 128, 5e-4)),
)
"""Sizes up to this resolution: the denoiser sees 4 tokens at 16 px, 16 at 32 px and 64 at 64 px.

Seen at 16 px: 110 s of one CPU core; of scikit-learn's digits, a classifier recognises the asked class in 98 % of 600
samples without guidance and in all at cfg 2. Estimated from single steps on two cores: 4 hours at 32 px, half a day at
64 px.
"""
LARGE = Sizes(8, (64, 128, 256, 256), 50_000, 32, 5e-4, 2, 12, 384, 200_000, 256, 2e-4)
"""Sizes beyond: meant for a GPU."""


def sizes(resolution: int) -> Sizes:
    """The rule: sizes for pictures of this side."""
    return next((row for limit, row in RULE if resolution <= limit), LARGE)


def complete(settings: PriorTraining, images: Images) -> PriorTraining:
    """The settings with nothing left open: what is ``None`` is taken from the pictures and from the rule.

    Raises:
        UserError: the sizes do not fit each other or the pictures.
    """
    check_data(images)
    side = settings.resolution or images.shape[-1]
    rule = sizes(side)
    if settings.downsample is not None:  # the autoencoder's depth follows, its widths are the rule's
        depth = max(1, settings.downsample).bit_length()
        rule = replace(
            rule, block_out_channels=(rule.block_out_channels + rule.block_out_channels[-1:] * depth)[:depth]
        )
    if (side // (settings.downsample or rule.downsample)) % rule.patch_size:  # 28 px: 7 x 7 latents
        rule = replace(rule, patch_size=1)
    open_ones = {name: value for name, value in asdict(rule).items() if getattr(settings, name) is None}
    full = replace(settings, resolution=side, **open_ones)
    check_numbers(full)
    check_sizes(full)
    return full


def check_data(images: Images) -> None:
    """Raise `UserError` if a ``DiTPipeline`` cannot be trained on these pictures."""
    check_pictures(images)
    if len(images.classes) > LABEL_ROWS:
        raise UserError(
            f"a DiTPipeline has {LABEL_ROWS} label rows, the data {len(images.classes)} classes; train on some of them"
        )


def check_pictures(images: Images) -> None:
    """Raise `UserError` if no prior can be trained on these pictures."""
    _, height, width = images.shape
    if height != width:
        raise UserError(
            f"a prior is trained on square pictures, these are {height} x {width}; make them square (size=...)"
        )
    if len(images) < 2:
        raise UserError(f"a prior needs at least 2 pictures to learn from, given {len(images)}")


def check_numbers(settings: PriorTraining) -> None:
    """Raise `UserError` if one of the complete settings makes no sense by itself."""
    check_names(settings)
    counts = (
        "resolution downsample latent_channels vae_train_steps vae_train_batch_size patch_size num_layers hidden_size"
    )
    more = "attention_head_dim max_train_steps train_batch_size gradient_accumulation_steps checkpointing_steps"
    check_counts(settings, f"{counts} {more}".split())


def check_names(settings: Any) -> None:
    """Raise `UserError` if a name that others own, of complete settings of any family, is none of theirs."""
    for name, known in (("lr_scheduler", LR_SCHEDULERS), ("mixed_precision", ("no", "bf16", "fp16"))):
        given = getattr(settings, name)
        if given not in known:
            near = difflib.get_close_matches(str(given), known, n=1)
            raise UserError(
                f"{name}={given!r} is none of {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")
            )


def check_counts(settings: Any, names: Sequence[str]) -> None:
    """Raise `UserError` if one of these settings, or the number of checkpoints, is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise UserError(f"{name}={getattr(settings, name)} must be at least 1")
    if settings.checkpoints_total_limit is not None and settings.checkpoints_total_limit < 1:
        raise UserError(
            f"checkpoints_total_limit={settings.checkpoints_total_limit} must be at least 1; None keeps all"
        )


def check_sizes(settings: PriorTraining) -> None:
    """Raise `UserError` if complete settings contradict each other."""
    side, factor, patch, width = settings.resolution, settings.downsample, settings.patch_size, settings.hidden_size
    widths, head = settings.block_out_channels, settings.attention_head_dim
    assert side and factor and patch and width and widths, "complete() fills these"
    if factor != 2 ** (len(widths) - 1):
        raise UserError(
            f"downsample={factor} does not fit block_out_channels={widths}: these {len(widths)} halve the pictures "
            f"{len(widths) - 1} times, which is downsample={2 ** (len(widths) - 1)}"
        )
    if side % (factor * patch):
        near = max(1, round(side / (factor * patch))) * factor * patch
        raise UserError(
            f"resolution={side} is not divisible by downsample x patch_size = {factor} x {patch} = {factor * patch}; "
            f"nearest that is: {near}"
        )
    if width % head:
        near = max(1, width // head) * head
        raise UserError(f"hidden_size={width} is not divisible by attention_head_dim={head}; nearest that is: {near}")
