"""What a run will hold in bytes: its folder, and as many random real pictures as cost what its set does."""

from __future__ import annotations

import math

import torch

from gendistill.capabilities import Learns, Trains
from gendistill.context import Context
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.same_bytes import drawn_for
from gendistill.labelers.hard import Hard, HardLabels
from gendistill.pictures import MODES, png
from gendistill.recipe import Recipe
from gendistill.running.stages import stages
from gendistill.types import Images

FIXED_BYTES = 140_000
"""Of the page, card, logs and metrics of a small run."""


def on_disk(recipe: Recipe, protocol: Protocol, context: Context) -> int:
    """Bytes of the run directory: raw shards of every set, and the first set once more as PNG in Parquet; and its generator."""
    total, raw = recipe.ipc * len(context.real.classes), math.prod(context.real.train.shape)
    assert context.prior is not None
    between = sum(not stage.last for stage in stages(recipe)) // recipe.rounds  # every picture is of one round
    latents = 4 * math.prod(context.prior.latent_shape) * between
    soft = recipe.labeler.bytes(len(context.real.classes))
    pictures = protocol.sets * total * (raw + latents + soft + 28) + total * (2 * packed(context.real.train) + soft)
    return round(pictures + (protocol.sets + 1) * generator_bytes(recipe, context) + FIXED_BYTES)


def drawn_for_the_bytes(recipe: Recipe, protocol: Protocol, context: Context) -> list[int]:
    """How many random real pictures a class get rows for the bytes of the set, see `gendistill.evaluation.same_bytes`.

    Its pictures are taken to cost what real ones do.
    """
    real, classes = context.real.train, len(context.real.classes)
    hard = not protocol.labelers or any(isinstance(one, Hard) for one in protocol.labelers)
    if not hard or "random_real" not in baselines(recipe):
        return []
    small = Imagined(real, recipe.ipc)
    plain = len(small) * packed(real) + HardLabels(small.labels, classes).bytes
    generator = generator_bytes(recipe, context)
    labelers = protocol.labelers or (Hard(), recipe.labeler)
    costs = {generator} if generator else {plain + len(small) * one.bytes(classes) for one in labelers}
    return sorted({drawn_for(cost, recipe.ipc, plain, real) for cost in costs} - {0})


def packed(images: Images) -> float:
    """Bytes of a picture as PNG, by the first few; raw where it has none, or there are no pictures."""
    probe = images.stored(range(min(16, len(images))))
    if not len(probe) or probe.shape[1] not in MODES:
        return math.prod(images.shape)
    return sum(len(png(one)) for one in probe) / len(probe)


def generator_bytes(recipe: Recipe, context: Context) -> int:
    """Bytes of the generator, where one is what is distilled: 4 a weight, of a diffusion prior those of its denoiser alone."""
    if recipe.draws == 1 or not isinstance(context.prior, Learns | Trains):
        return 0
    return 4 * sum(weight.numel() for weight in context.prior.trainable().parameters())


class Imagined(Images):
    """Pictures that do not exist yet: only their number and shape are known."""

    def __init__(self, real: Images, ipc: int) -> None:
        """As many as ``ipc`` per class of ``real``."""
        self.classes, self.shape, self.fingerprint = real.classes, real.shape, "imagined"
        self.labels = torch.arange(len(real.classes)).repeat_interleave(ipc)

    def stored(self, indices) -> torch.Tensor:
        """Black pictures."""
        return torch.zeros(len(indices), *self.shape, dtype=torch.uint8)
