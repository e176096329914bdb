"""Learnability-guided diffusion, LGD (Chan-Santiago & Shah, CVPR 2026), https://arxiv.org/abs/2604.00519.

    score(x) = CE(student; x) - omega CE(reference; x),   loss_picture = - score

A picture is worth making that a student of what was made so far does not know, and a reference of the real data does. The
score is to be raised, so its negative is the loss. The published update adds the score's gradient to the predicted noise,
which moves the clean estimate against it and lowers the score; here descending the loss raises it, however it is descended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets import ensemble, trained
from gendistill.nets.trained import Student, Trained
from gendistill.objectives.base import Objective
from gendistill.types import Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Learnability(Objective):
    """How well a student of earlier rounds knows a picture, less a share of how well a reference of the real data does.

    In the first round there is no student, and the loss is zero: pictures are steered by other objectives.

    student    trained on what earlier rounds made
    reference  a classifier of the real data, see `gendistill.nets.trained.load`
    omega      share of the reference's cross-entropy that is taken off the student's
    """

    student: Student = Student()
    reference: Any = Trained()
    omega: float = 0.5
    weight: float = 1.0
    scope = "picture"
    looks_at_real = False

    def __post_init__(self) -> None:
        (reference,) = trained.as_references((self.reference,))
        object.__setattr__(self, "reference", reference)
        if not isinstance(self.student, Student):
            raise UserError(
                f"Learnability trains its student on what was made: give Student(...), not {self.student!r}"
            )
        if self.omega < 0:
            raise UserError(f"Learnability keeps pictures valid by omega={self.omega}: give 0 or more")

    @property
    def answering(self) -> tuple[Any, ...]:
        """The reference; the student is made to know little."""
        return (self.reference,)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The reference."""
        return [trained.origin(self.reference, licence)]

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the student and, where it is trained in place, of the reference."""
        yield from trained.work(self.student, context)
        yield from trained.work(self.reference, context)

    def bind(self, context: Context) -> Loss:
        """One number per picture, in nats; zero with a zero gradient where nothing was made before."""
        if context.made is None and not context.dry:
            return nothing
        key = ("net", self.student, None if context.made is None else context.made.fingerprint)
        student = context.once(key, lambda: trained.load(self.student, context))
        (reference,) = ensemble.load((self.reference,), context)

        def loss(synthetic: Synthetic) -> Losses:
            labels = synthetic.labels.to(synthetic.pixels.device)
            unknown, invalid = (
                F.cross_entropy(net(synthetic.pixels), labels, reduction="none") for net in (student, reference)
            )
            return self.omega * invalid - unknown

        return loss


def nothing(synthetic: Synthetic) -> Losses:
    """Zero per picture, which depends on the latents so that a gradient can be asked for."""
    return torch.stack([0.0 * value.flatten(1).sum(1) for value in synthetic.latents.values()]).sum(0)
