"""Teachers that guess must neither steer nor label: each is asked about real training pictures first, whoever trained it."""

from __future__ import annotations

import math

import torch
from torch import nn

from gendistill.config.parts import inside
from gendistill.context import Context, passing
from gendistill.images import Subset
from gendistill.learning.training import accuracy
from gendistill.nets import trained
from gendistill.nets.reference import Reference
from gendistill.types import UserError

ASKED = 2000
"""Training pictures by which a teacher is judged, at most."""
SURE = 3.0
"""Standard deviations above chance that a teacher must reach."""


def check_teachers(asking: object, context: Context) -> None:
    """Refuse teachers that are not clearly better than a guess on real training pictures, where there are any.

    ``asking`` are settings of labels or steering; those inside that go by what teachers answer name these by ``answering``. Who is
    asked for features or statistics alone need not know the classes. Teachers that are trained in place are trained now, so that
    one that learned nothing is known before a set is made.

    Raises:
        UserError: one of them is not.
    """
    for one in inside(asking):
        for reference in getattr(one, "answering", ()):
            check_teacher(reference, context)


def check_teacher(reference: Reference, context: Context, net: nn.Module | None = None) -> None:
    """`check_teachers` for one, ``net`` where it is loaded. Who was asked about these pictures before is not asked again."""
    real = context.real.train
    known = context.lasting("teachers that do not guess", set[tuple[str, str]])
    key = reference.identity(context), real.fingerprint
    if not len(real) or key in known:
        return
    classes, count = len(real.classes), min(len(real), ASKED)
    some = Subset(real, torch.linspace(0, len(real) - 1, count).round().long())
    net = trained.load(reference, context) if net is None else net
    right = accuracy(net, some, context.device, passing(real.shape, context.device))
    chance = 100 / classes
    least = min(chance + SURE * 100 * math.sqrt((classes - 1) / count) / classes, 100.0)
    if right < least:
        raise UserError(
            f"{reference} knows too little to be asked: it is right on {right:.1f} % of {count:,} real training pictures, a guess "
            f"is on {chance:.1f} %, and below {least:.1f} % it may be one. Train it longer, or check that its classes are the "
            "data's"
        )
    known.add(key)
