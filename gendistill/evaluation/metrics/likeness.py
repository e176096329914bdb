"""Fidelity and copying of all sets of a comparison, by the features of one network, which is trained on the real training pictures.

Sets of one size alone may be compared, so random real pictures stand beside: they say what a set of that size can reach, and, as
they are real ones, what a copy looks like.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.metrics.copying import copying
from gendistill.evaluation.metrics.features import features_of
from gendistill.evaluation.metrics.fidelity import fidelity
from gendistill.evaluation.protocol import Protocol
from gendistill.evaluation.report import Likeness
from gendistill.nets import trained
from gendistill.nets.trained import Trained
from gendistill.types import UserError

log = logging.getLogger("gendistill")
NEIGHBOURS = 5
"""That make a radius, where a set has more pictures than that."""


def likeness(name: str, made: Sequence[Distilled], protocol: Protocol, context: Context) -> Likeness:
    """How the pictures of sets of one name lie among real ones: the mean over as many of them as the protocol has sets.

    Raises:
        UserError: a set is a single picture, or has other channels than the real ones.
    """
    if len(made[0].images) < 2:
        raise UserError(f"the set {name!r} is a single picture: fidelity needs at least two")
    reference = Trained(protocol.student, protocol.full)
    see = features_of(trained.load(reference, context))
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
        features=f"{protocol.student}, trained on them for {protocol.full.passes(len(real))} epochs", **means,
        copies=statistics.fmean(copying(one.images, real, device=context.device).share() for one in some),
        copies_seen=statistics.fmean(copying(one.images, real, see, context.device).share() for one in some),
    )  # fmt: skip
