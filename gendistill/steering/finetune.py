"""Fine-tuning: the denoiser learns the real pictures a little longer, its answers pulled towards objectives meanwhile.

A batch holds its classes equally, and the losses of the objectives are summed and divided by its pictures, so that an objective
that judges classes counts once for each class of the batch, on average over them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gendistill.capabilities import Encodes, Trains
from gendistill.context import Context, encoding, together
from gendistill.draft import Draft
from gendistill.objectives.base import MemoryLoss, Objective, check_weights
from gendistill.priors.training.finetune import Task, one_step, tune_denoiser
from gendistill.priors.training.look import RealLatents
from gendistill.priors.training.tuned_card import card
from gendistill.priors.training.tuning import Tuning
from gendistill.priors.training.wishes import Wish
from gendistill.steering.render import decode
from gendistill.steering.tunes import TunesPrior
from gendistill.system import ranks
from gendistill.system.store import write_text
from gendistill.types import RealData, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class FineTune(Tuning, TunesPrior):
    """Train the prior's denoiser on the real pictures, and hand the tuned prior to the steps that follow.

    It is kept as a pipeline folder.

    objectives  what is wanted of the clean estimates beside the diffusion loss
    """

    objectives: tuple[Objective, ...] = ()
    kind = "finetuned"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "objectives", tuple(self.objectives))
        check_weights("FineTune", self.objectives)

    @property
    def needs(self) -> tuple[type, ...]:
        """A prior that encodes and trains, and what the objectives need."""
        return (Encodes, Trains, *super().needs)

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a batch is to hold more classes than there are."""
        if self.classes is not None and self.classes > len(data.classes):
            raise UserError(f"classes={self.classes} in a batch, but {data.name} has {len(data.classes)}")

    def train(self, context: Context, folder: Path) -> None:
        """Train the denoiser, and write a pipeline folder with a card."""
        prior = context.prior
        assert prior is not None
        tune_denoiser(self.task(context, self.latents(context)), folder, context.device, context.progress)
        if ranks.first():
            origin = {"name": f"the prior of fingerprint {prior.fingerprint}"}
            write_text(folder / "README.md", card(prior, origin, context.real, repr(self)))

    def latents(self, context: Context) -> RealLatents:
        """Those of all real pictures, encoded now where they are not kept yet."""
        flipped = tuple(mirrored(context, index) for index in context.classes) if self.random_flip else ()
        return RealLatents(tuple(context.latents(index) for index in context.classes), flipped)

    def task(self, context: Context, real: RealLatents) -> Task:
        """What is to be trained, with the objectives bound to all real pictures; ``real`` are their latents."""
        prior, chunk = context.prior, together(context.real.train.shape)
        assert prior is not None
        each = self.batch // self.together(len(context.classes))
        inner, wishes = context.anew(seed=self.seed, ipc=each, made=None), []
        for objective in self.objectives:
            loss = objective.bind(inner)
            memory = loss if isinstance(loss, MemoryLoss) else None
            whole = objective.scope != "picture"
            wishes.append(Wish(repr(objective), loss, objective.weight, whole, memory, objective.period))
        return Task(prior, self, real, wishes, lambda latents: decode(prior, latents, chunk))

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Encoding, what the objectives cost to bind, and the optimiser steps."""
        for work in encoding(context):
            yield replace(work, calls=work.calls * (2 if self.random_flip else 1))
        for objective in self.objectives:
            yield from objective.work(context)
        classes, prior = len(context.real.classes), context.prior
        assert prior is not None
        one = torch.randn(1, *prior.latent_shape)
        real = RealLatents((one,) * classes, (one,) * classes if self.random_flip else ())
        once = one_step(self.task(context.of(tuple(range(classes))), real), context.device)
        passes = self.steps(len(context.real.train)) * self.gradient_accumulation_steps
        yield Work("fine-tune", passes, once, shared=True, rows=self.batch, each="run")


def mirrored(context: Context, index: int) -> torch.Tensor:
    """Latents of the real pictures of a class, mirrored left to right, kept on disk."""
    found = context.kept(
        "latents", index, {"mirrored": True}, lambda: {"latents": context.encode(context.stored(index).flip(-1))}
    )
    return found["latents"]
