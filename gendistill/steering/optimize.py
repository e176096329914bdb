"""Optimisation: latents move towards objectives, through the decoder, in memory bounded by one chunk of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal

import torch
from torch import Tensor

from gendistill.context import Context, together
from gendistill.objectives.base import Objective
from gendistill.steering.base import Steering
from gendistill.steering.render import decode
from gendistill.store import read_tensors, write_tensors
from gendistill.types import Diverged, Draft, Latents, Loss, Synthetic, UserError
from gendistill.work import Work

SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Optimize(Steering):
    """Gradient descent on the latents of a clean draft; the loss is the weighted sum of all objectives.

    steps      of the optimiser
    optimizer  a class of torch.optim
    lr         for latents of unit variance, or pixels in [0, 1]
    momentum   of SGD
    chunk      pictures decoded together when a gradient is taken; None by their size
    """

    objectives: tuple[Objective, ...]
    steps: int = 1000
    optimizer: Literal["SGD", "Adam", "AdamW"] = "Adam"
    lr: float = 0.01
    momentum: float = 0.5
    chunk: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "objectives", tuple(self.objectives))
        if not self.objectives:
            raise UserError("Optimize needs at least one objective")
        if self.steps < 0 or self.lr <= 0:
            raise UserError(f"Optimize needs steps >= 0 and lr > 0, got steps={self.steps}, lr={self.lr}")

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The draft with its latents moved.

        Raises:
            Diverged: a loss is not finite; names objective, step and classes.
        """
        if not draft.latents:
            raise UserError(
                "Optimize moves latents, and the draft has none yet: put Start(...) or Sample(...) before it"
            )
        losses = [objective.bind(context) for objective in self.objectives]
        variables = {name: value.detach().clone().requires_grad_() for name, value in draft.latents.items()}
        optimizer = self._optimizer(variables)
        first = _restore(context, variables, optimizer)
        saved = monotonic()
        for step in context.progress(range(first, self.steps), "optimize", self.steps - first):
            optimizer.zero_grad(set_to_none=True)
            self._total(draft, variables, losses, step, context).backward()
            optimizer.step()
            if context.resume is not None and monotonic() - saved > SAVE_EVERY_S:
                _save(context, variables, optimizer, step + 1)
                saved = monotonic()
        return replace(draft, latents={name: value.detach() for name, value in variables.items()})

    def _optimizer(self, variables: Latents) -> torch.optim.Optimizer:
        momentum = {"momentum": self.momentum} if self.optimizer == "SGD" else {}
        return getattr(torch.optim, self.optimizer)(list(variables.values()), lr=self.lr, **momentum)

    def _total(self, draft: Draft, variables: Latents, losses: list[Loss], step: int, context: Context) -> Tensor:
        chunk = self.chunk or together(context.real.train.shape)
        synthetic = Synthetic(
            draft.prior,
            variables,
            draft.ids,
            draft.labels,
            conditions=draft.conditions,
            step=step,
            decode=lambda latents: decode(draft.prior, latents, chunk),
        )
        total = torch.zeros((), device=next(iter(variables.values())).device)
        for objective, loss in zip(self.objectives, losses, strict=True):
            value = loss(synthetic).sum()
            if not torch.isfinite(value):
                raise Diverged(
                    f"{objective} is {value.item()} at step {step}, classes {draft.labels.unique().tolist()}; "
                    f"lower lr={self.lr} or its weight"
                )
            total = total + objective.weight * value
        return total

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Optimiser steps, each with a decode, the objectives and their gradients."""
        latents = draft.latents or draft.prior.noise(context.seed, draft.ids)
        variables = {name: value.detach().clone().requires_grad_() for name, value in latents.items()}
        losses = [objective.bind(context) for objective in self.objectives]
        for objective in self.objectives:
            yield from objective.work(context)
        yield Work(
            "optimize",
            self.steps,
            lambda: self._total(draft, variables, losses, 0, context).backward(),
            rows=len(draft),
        )


def _save(context: Context, variables: Latents, optimizer: torch.optim.Optimizer, step: int) -> None:
    assert context.resume is not None
    tensors: dict[str, Tensor] = {
        "step": torch.tensor(step),
        **{f"latent/{name}": value for name, value in variables.items()},
    }
    for number, state in optimizer.state_dict()["state"].items():
        tensors.update(
            {f"state/{number}/{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
        )
    write_tensors(context.resume, tensors)


def _restore(context: Context, variables: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Put back what a killed run saved, bit by bit; returns the step to go on from."""
    if context.resume is None or not context.resume.exists():
        return 0
    tensors = read_tensors(context.resume)
    state: dict[int, dict[str, Tensor]] = {}
    with torch.no_grad():
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "latent":
                variables[rest].copy_(value)
            elif kind == "state":
                number, _, entry = rest.partition("/")
                state.setdefault(int(number), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(tensors["step"])
