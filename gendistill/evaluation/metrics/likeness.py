"""Fidelity and copying of all sets of a comparison, by the features of one network: a student of all real pictures, or another.

Sets of one size alone may be compared, so random real pictures stand beside: they say what a set of that size can reach, and, as
they are real ones, what a copy looks like.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from typing import TypeAlias

from torch import nn

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.metrics.copying import copying
from gendistill.evaluation.metrics.features import See, features_of
from gendistill.evaluation.metrics.fidelity import fidelity
from gendistill.evaluation.protocol import Protocol
from gendistill.evaluation.report import Likeness
from gendistill.nets import trained
from gendistill.nets.reference import Reference
from gendistill.nets.trained import Trained, as_references
from gendistill.types import UserError

log = logging.getLogger("gendistill")
Features: TypeAlias = Reference | nn.Module | See
"""By which pictures are compared: those of a network, such as `TimmClassifier("resnet50.a1_in1k")`, or a function of pixels."""
NEIGHBOURS = 5
"""That make a radius, where a set has more pictures than that."""


def likeness(
    name: str, made: Sequence[Distilled], protocol: Protocol, context: Context, chosen: Features | None = None
) -> Likeness:
    """How the pictures of sets of one name lie among real ones: the mean over as many of them as the protocol has sets.

    Raises:
        UserError: a set is a single picture, or has other channels than the real ones; the network cannot be had.
    """
    if len(made[0].images) < 2:
        raise UserError(f"the set {name!r} is a single picture: fidelity needs at least two")
    see, features = seeing(chosen, protocol, context)
    some, real = made[: protocol.sets], context.real.train
    log.info("%s: %d sets among %d real pictures", name, len(some), len(real))
    k = min(NEIGHBOURS, min(len(one.images) for one in some) - 1, len(real) - 1)
    near = [fidelity(one.images, real, see, context.device, k) for one in some]
    means = {
        what: statistics.fmean(getattr(one, what) for one in near)
        for what in ("frechet", "precision", "recall", "density", "coverage")
    }
    return Likeness(
        set=name, ipc=some[0].ipc, sets=len(some), pictures=near[0].pictures, real=near[0].real, k=k,
        features=features, **means,
        copies=statistics.fmean(copying(one.images, real, device=context.device).share() for one in some),
        copies_seen=statistics.fmean(copying(one.images, real, see, context.device).share() for one in some),
    )  # fmt: skip


def seeing(chosen: Features | None, protocol: Protocol, context: Context) -> tuple[See, str]:
    """A function from pixels to features, and which: by default, of the protocol's student of all real pictures."""
    if chosen is None:
        epochs = protocol.full.passes(len(context.real.train))
        net = trained.load(Trained(protocol.student, protocol.full), context)
        return features_of(net), f"{protocol.student}, trained on them for {epochs} epochs"
    if isinstance(chosen, Reference | nn.Module):
        (reference,) = as_references([chosen])
        see = context.lasting(("see", reference), lambda: reference.see(context))
        return see, reference.origin("")["name"]
    return chosen, getattr(chosen, "__qualname__", type(chosen).__name__)
