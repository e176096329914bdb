"""The sizes of a GAN that follow from the pictures, and whether they fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from gendistill.priors.training.gan_settings import GanTraining
from gendistill.priors.training.sizes import check_counts, check_names, check_pictures
from gendistill.types import Images, UserError


@dataclass(frozen=True)
class GanSizes:
    """What the rule decides; the names are those of `GanTraining`."""

    block_out_channels: tuple[int, ...]
    max_train_steps: int
    train_batch_size: int
    learning_rate: float
    gradient_penalty: float
    ema_decay: float


WIDEST = 256
SMALLEST = 4
"""Sides are halved down to this one, or to the last that is odd: 28 px to 7."""


GROUP = 4
"""So many pictures of a class stand next to each other in a batch: the discriminator sees how much they differ."""


def sizes(resolution: int) -> GanSizes:
    """The rule: sizes for pictures of this side.

    Up to 16 px it is made for two cores and a few minutes, and was chosen on a validation split of scikit-learn's digits; beyond,
    for a GPU and hours, and was not tried.
    """
    sides = [resolution]
    while sides[-1] % 2 == 0 and sides[-1] // 2 >= SMALLEST:
        sides.append(sides[-1] // 2)
    if resolution <= 16:
        return GanSizes(tuple({16: 16, 8: 48}.get(side, 64) for side in sides), 1500, 64, 2e-3, 0.01, 0.99)
    widths = tuple(max(8, min(WIDEST, 2048 // side // 8 * 8)) for side in sides)
    return GanSizes(widths, 50_000, 64, 1e-3, 0.05, 0.999)


def complete(settings: GanTraining, images: Images) -> GanTraining:
    """The settings with nothing left open: what is ``None`` is taken from the pictures and from the rule.

    Raises:
        UserError: the sizes do not fit each other or the pictures.
    """
    check_pictures(images)
    empty = [str(c) for index, c in enumerate(images.classes) if not len(images.where(index))]
    if empty:
        raise UserError(f"a GAN learns every class from its pictures, and there are none of {', '.join(empty[:8])}")
    side = settings.resolution or images.shape[-1]
    open_ones = {name: value for name, value in asdict(sizes(side)).items() if getattr(settings, name) is None}
    full = replace(settings, resolution=side, **open_ones)
    check_names(full)
    check_counts(
        full,
        "resolution noise_size style_size penalty_steps max_train_steps train_batch_size checkpointing_steps".split(),
    )
    widths, penalty, decay = full.block_out_channels, full.gradient_penalty, full.ema_decay
    assert widths and penalty is not None and decay is not None, "filled above"
    if min(widths) < 1 or side % 2 ** (len(widths) - 1):
        raise UserError(
            f"block_out_channels={widths} halve the pictures {len(widths) - 1} times, and resolution={side} cannot be halved "
            "so often; give a width of at least 1 for each side"
        )
    assert full.train_batch_size
    check_groups("train_batch_size", full.train_batch_size)
    if penalty < 0 or not 0 <= decay < 1:
        raise UserError(f"a GAN needs gradient_penalty >= 0 and 0 <= ema_decay < 1, got {penalty} and {decay}")
    return full


def check_groups(name: str, batch: int, processes: int = 1) -> None:
    """Raise `UserError` unless every process has whole groups of a batch: others would hold two classes, or real and made ones."""
    if batch % (GROUP * processes):
        each = f" in each of {processes} processes" if processes > 1 else ""
        raise UserError(
            f"{name}={batch} pictures are no whole groups of {GROUP}{each}, and of such the discriminator sees how much pictures "
            f"of a class differ: give a multiple of {GROUP * processes}"
        )
