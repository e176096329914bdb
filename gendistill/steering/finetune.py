"""Fine-tuning: the denoiser learns the real pictures a little longer, its answers pulled towards objectives meanwhile.

A batch holds its classes equally, and the losses of the objectives are summed and divided by its pictures, so that an objective
that judges classes counts once for each class of the batch, on average over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from accelerate.utils import broadcast_object_list

from gendistill import ranks
from gendistill.context import Context, encoding, together
from gendistill.objectives.base import MemoryLoss, Objective, Scope
from gendistill.priors.training.finetune import Task, Wish, one_step, tune_denoiser
from gendistill.priors.training.look import RealLatents
from gendistill.priors.training.tuned_card import card
from gendistill.priors.training.tuning import Tuning
from gendistill.steering.base import Steering
from gendistill.steering.render import decode
from gendistill.store import write_text
from gendistill.types import Draft, Encodes, LoadedPrior, RealData, Trains, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class FineTune(Tuning, Steering):
    """Train the prior's denoiser on the real pictures, and hand the tuned prior to the steps that follow.

    It is made once, kept in the cache as a pipeline folder, and does not depend on the recipe's seed or IPC: to an objective, a
    batch is the set, its pictures of a class the slots.

    objectives  what is wanted of the clean estimates beside the diffusion loss
    """

    objectives: tuple[Objective, ...] = ()
    begins = True
    shapes = False
    looks_at_real = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "objectives", tuple(self.objectives))

    @property
    def needs(self) -> tuple[type, ...]:
        """A prior that encodes and trains, and what the objectives need."""
        return (Encodes, Trains, *super().needs)

    @property
    def scope(self) -> Scope:
        """It works on no picture, whatever the objectives judge."""
        return "picture"

    def retold(self, prior: dict[str, str]) -> dict[str, str]:
        """Tuned here, and it saw the training pictures too; what it saw before stays unknown where it was."""
        told = {**prior, "name": f"{prior['name']}, fine-tuned here"}
        if prior.get("saw"):
            told["saw"] = " and ".join(dict.fromkeys([prior["saw"], "the training pictures"]))
        return told

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if a batch is to hold more classes than there are."""
        if self.classes is not None and self.classes > len(data.classes):
            raise UserError(f"classes={self.classes} in a batch, but {data.name} has {len(data.classes)}")

    def tune(self, context: Context) -> LoadedPrior:
        """The tuned prior, from the cache if it is there; several processes train it together.

        Raises:
            UserError: this prior cannot be tuned, or not on this device.
            Diverged: a loss is not finite.
        """
        prior = context.prior
        assert prior is not None
        if context.dry:
            return prior
        if not isinstance(prior, Trains):
            raise UserError(f"FineTune needs a prior that trains; {type(prior).__name__} does not")
        if self.mixed_precision == "fp16" and context.device.type == "cpu":
            raise UserError('mixed_precision="fp16" needs a GPU; on a CPU use "bf16" or "no"')
        key = {
            "prior": prior.fingerprint,
            "data": context.real.train.fingerprint,
            "step": repr(
                replace(self, checkpointing_steps=1, checkpoints_total_limit=1)
            ),  # no weight follows from these
            "device": context.device.type,
        }
        return prior.reload(made_together(context, "finetuned", key, lambda folder: self._train(context, folder)))

    def _train(self, context: Context, folder: Path) -> None:
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
        inner, wishes = replace(context, seed=self.seed, ipc=each, made=None, _memory={}), []
        for objective in self.objectives:
            loss = objective.bind(inner)
            memory = loss if isinstance(loss, MemoryLoss) else None
            whole = objective.scope != "picture"
            wishes.append(Wish(repr(objective), loss, objective.weight, whole, memory, objective.period))
        return Task(prior, self, real, wishes, lambda latents: decode(prior, latents, chunk))

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The draft, to be worked on with the tuned prior."""
        assert context.prior is not None
        return replace(draft, prior=context.prior)

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


def made_together(context: Context, kind: str, key: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """As `Store.folder`, by all processes of a run: the first holds the lock and says whether there is anything to make."""
    store, needed = context.store, False
    if ranks.count() == 1:
        return store.folder(kind, key, make)

    def with_others(working: Path) -> None:
        nonlocal needed
        needed = tell(True)
        make(working)

    ranks.wait()
    path = store.path(kind, key)
    if ranks.first():
        store.folder(kind, key, with_others)
        if not needed:
            tell(False)
    elif tell(False):
        make(path.with_suffix(".working"))
    ranks.wait()
    return path


def tell(answer: bool) -> bool:
    """The answer of the first process, in every one."""
    return cast(bool, broadcast_object_list([answer])[0])
