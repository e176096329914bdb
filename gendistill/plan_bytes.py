"""What a run will hold in bytes: its folder, and as many random real pictures as cost what its set does."""

from __future__ import annotations

import math

import torch

from gendistill.capabilities import Learns
from gendistill.context import Context
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.same_bytes import drawn_for
from gendistill.labelers.hard import Hard
from gendistill.pictures import MODES, png
from gendistill.recipe import Recipe
from gendistill.stages import stages
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
    return round(pictures + (protocol.sets + 1) * stored(recipe, context) + FIXED_BYTES)


def as_many_bytes(recipe: Recipe, protocol: Protocol, context: Context) -> list[int]:
    """Random real pictures a class that cost about what the set does, see `gendistill.evaluation.same_bytes`.

    Its pictures are taken to cost what real ones do.
    """
    real, classes = context.real.train, len(context.real.classes)
    if protocol.labelers and not any(isinstance(one, Hard) for one in protocol.labelers):
        return []
    plain = recipe.ipc * classes * (packed(real) + 1)
    generator = stored(recipe, context)
    labelers = protocol.labelers or (Hard(), recipe.labeler)
    costs = {generator} if generator else {plain + recipe.ipc * classes * one.bytes(classes) for one in labelers}
    most = int(torch.bincount(real.labels, minlength=classes).min())
    return sorted({drawn_for(cost, recipe.ipc, plain, most) for cost in costs} - {0})


def packed(images: Images) -> float:
    """Bytes of a picture as PNG, by the first few; raw where it has none, or there are no pictures."""
    probe = images.stored(range(min(16, len(images))))
    if not len(probe) or probe.shape[1] not in MODES:
        return math.prod(images.shape)
    return sum(len(png(one)) for one in probe) / len(probe)


def stored(recipe: Recipe, context: Context) -> int:
    """Bytes of the generator, where one is what is distilled and it is one that learns: 4 for every weight."""
    if recipe.draws == 1 or not isinstance(context.prior, Learns):
        return 0
    return 4 * sum(weight.numel() for weight in context.prior.trainable().parameters())
