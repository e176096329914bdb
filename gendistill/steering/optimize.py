"""Optimisation: latents move towards objectives, through the decoder, in memory bounded by one chunk of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Literal, cast

import torch
from torch import Tensor

from gendistill.capabilities import Embeds
from gendistill.config.settled import check_choices
from gendistill.context import Context, blocks, together
from gendistill.draft import Draft, Loss, Synthetic
from gendistill.objectives.base import Objective, check_weights, named
from gendistill.steering.base import Steering, asked, unshaped
from gendistill.steering.drafts import joined
from gendistill.steering.in_parts import Term, backward
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.steering.watch import Watch
from gendistill.system.store import read_state, write_state
from gendistill.types import Conditions, Diverged, Latents, UserError
from gendistill.work import Work

SAVE_EVERY_S = 30.0
VARIABLES = ("latent", "condition")
"""What moves as a whole."""


@dataclass(frozen=True)
class Optimize(Steering):
    """Gradient descent on the latents, or the conditions, of a clean draft; the loss is the weighted sum of all objectives.

    steps         of the optimiser
    optimizer     a class of torch.optim
    lr            for latents of unit variance, or pixels in [0, 1]; one for all variables, or one for each in their order
    momentum      of SGD
    lr_scheduler  "constant", or "cosine": falls to zero, so that the noise of the last steps leaves no trace
    variables     what moves: "latent" is all the latents, "latent/NAME" the one of that name, "condition" what is asked for;
                  beside "latent", "latent/NAME" has a rate of its own, where there is one of that name
    limit         latents that move stay within +-limit; None for no bound
    through       a sampler the latents pass, re-noised, before they are decoded (LD3M); None for none
    gradient_checkpointing  memory holds one evaluation of that sampler's denoiser, which is computed again on the way back;
                  without it memory holds all of them, of all pictures, and a step takes a third to a half less time
    chunk         pictures decoded together when a gradient is taken; None by their size
    """

    objectives: tuple[Objective, ...]
    steps: int = 1000
    optimizer: Literal["SGD", "Adam", "AdamW"] = "Adam"
    lr: float | tuple[float, ...] = 0.01
    momentum: float = 0.5
    lr_scheduler: Literal["constant", "cosine"] = "constant"
    variables: tuple[str, ...] = ("latent",)
    limit: float | None = None
    through: Sample | None = None
    gradient_checkpointing: bool = True
    chunk: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "objectives", tuple(self.objectives))
        object.__setattr__(self, "variables", tuple(self.variables))
        if not isinstance(self.lr, float | int):
            object.__setattr__(self, "lr", tuple(self.lr))
        check_weights("Optimize", self.objectives)
        if not self.objectives:
            raise UserError("Optimize needs at least one objective")
        limit = 1.0 if self.limit is None else self.limit
        if self.steps < 0 or not all(0 < one < math.inf for one in (*self._rates, limit)):
            raise UserError(
                f"Optimize needs steps >= 0, lr > 0 and limit > 0, got steps={self.steps}, lr={self.lr}, limit={self.limit}"
            )
        self._check_optimizer()
        kinds = [name.partition("/") for name in self.variables]
        wrong = [
            kind for kind, slash, part in kinds if kind not in VARIABLES or (slash and (kind != "latent" or not part))
        ]
        if not self.variables or wrong:
            raise UserError(
                f"variables={self.variables}: give one or more of 'latent' (all of them), 'latent/NAME' (one) and 'condition'"
            )
        if len(self._rates) != len(self.variables):
            raise UserError(f"lr={self.lr} must be one number, or one for each of the {len(self.variables)} variables")
        if "condition" in self.variables and self.through is None:
            raise UserError("conditions reach the pictures through a sampler only: give through=Sample(...)")
        if self.through is None and not self.gradient_checkpointing:
            raise UserError("gradient_checkpointing=False is about a sampler: give through=Sample(...)")
        if self.through is not None and (self.through.guides or self.through.copies != 1):
            raise UserError("through=Sample(...) is differentiated as it is: without guides and oversampling")

    def _check_optimizer(self) -> None:
        check_choices(self)
        if not 0 <= self.momentum < 1 or (self.chunk is not None and self.chunk < 1):
            raise UserError(f"momentum={self.momentum} must be in [0, 1), chunk={self.chunk} at least 1 or None")
        stiff = sum(one.weight * (one.curvature or 0.0) for one in self.objectives)
        rate = dict(zip(self.variables, self._rates, strict=False)).get("latent", 0.0)
        straight = self.optimizer == "SGD" and self.lr_scheduler == "constant"
        if straight and self.through is None and self.limit is None and rate * stiff >= 2 * (1 + self.momentum):
            raise UserError(
                f"SGD with lr={rate:g} overshoots {named(self.objectives)} further at every step: with "
                f"momentum={self.momentum:g} it diverges from {2 * (1 + self.momentum) / stiff:.3g} on"
            )

    @property
    def _rates(self) -> tuple[float, ...]:
        """The learning rate of each variable."""
        return self.lr if isinstance(self.lr, tuple) else (self.lr,) * len(self.variables or ("",))

    @property
    def needs(self) -> tuple[type, ...]:
        """What objectives and sampler need; conditions that move must be real numbers."""
        through = self.through.needs if self.through is not None else ()
        return (*super().needs, *through, *((Embeds,) if "condition" in self.variables else ()))

    def fits(self, draft: Draft, context: Context) -> None:
        """What the sampler says."""
        if self.through is not None:
            self.through.fits(draft, context)

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The draft with its variables moved; with a sampler, what it makes of them.

        Raises:
            UserError: there are no latents yet.
            Diverged: a loss is not finite, or latents are not, left their range or show nothing any more, or their pictures, which
                are looked at ever more rarely, are blown out; names step, classes and objectives.
        """
        if not draft.latents:
            raise UserError(
                "Optimize moves latents, and the draft has none yet: put Start(...), Sample(...) or Generate(...) before it"
            )
        losses = [objective.bind(context) for objective in self.objectives]
        variables = self._variables(draft)
        watch = Watch(
            variables,
            self.limit is not None,
            f"Optimize by {named(self.objectives)}",
            f"lower lr={self.lr} or a weight, or give a limit",
        )
        optimizer = self._optimizer(variables)
        saved, period = monotonic(), math.lcm(*(objective.period for objective in self.objectives))
        rates = [group["lr"] for group in optimizer.param_groups]
        first = 0 if context.resume is None else read_state(context.resume, variables, optimizer)
        for step in context.progress(range(first, self.steps), "optimize", self.steps - first):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * self._factor(step)
            optimizer.zero_grad(set_to_none=True)
            self._backward(draft, variables, losses, step, context)
            optimizer.step()
            self._bound(variables)
            watch.check(variables, draft, step, context)
            if self.through is None and ((step + 1) & step == 0 or step + 1 == self.steps):
                watch.look(self._moved(draft, _detached(variables)), step, context)
            at_rest = (step + 1) % period == 0
            if context.resume is not None and at_rest and monotonic() - saved > SAVE_EVERY_S:
                write_state(context.resume, variables, optimizer, step + 1)
                saved = monotonic()
        moved = self._moved(draft, _detached(variables))
        if self.through is None:
            return moved
        with torch.no_grad():
            made = self._sampled(moved, context, self.steps)
        watch.look(made, self.steps, context, sampled=True)
        return made

    def _variables(self, draft: Draft) -> dict[str, Tensor]:
        """What moves, by name: ``latent/...`` and ``condition/...``.

        Raises:
            UserError: there is no latent of a name.
        """
        found: dict[str, Tensor] = {}
        for variable in self.variables:
            kind, _, part = variable.partition("/")
            if kind == "condition":
                values = cast(Any, draft.prior).embed(asked(draft).conditions).values
                found.update({f"condition/{name}": v for name, v in values.items() if v.is_floating_point()})
            elif part and part not in draft.latents:
                if "latent" in self.variables:
                    continue
                raise UserError(
                    f"variables={self.variables}: there is no latent {part!r} here; there are {', '.join(draft.latents)}"
                )
            else:
                chosen = {part: draft.latents[part]} if part else draft.latents
                found.update({f"latent/{name}": value for name, value in chosen.items()})
        return {name: value.detach().clone().requires_grad_() for name, value in found.items()}

    @torch.no_grad()
    def _bound(self, variables: Latents) -> None:
        """Keep the latents that move within the limit."""
        if self.limit is not None:
            for name, value in variables.items():
                if name.startswith("latent/"):
                    value.clamp_(-self.limit, self.limit)

    def _moved(self, draft: Draft, variables: Latents) -> Draft:
        """The draft with the variables in their places."""
        latents = {**draft.latents, **_below("latent", variables)}
        conditions = _below("condition", variables)
        if not conditions:
            return replace(draft, latents=latents)
        draft = asked(draft)
        embedded = cast(Any, draft.prior).embed(draft.conditions)
        moved = Conditions({**embedded.values, **conditions}, embedded.null)
        return replace(draft, latents=latents, conditions=moved)

    def _optimizer(self, variables: Latents) -> torch.optim.Optimizer:
        momentum = {"momentum": self.momentum} if self.optimizer == "SGD" else {}
        rates = dict(zip(self.variables, self._rates, strict=True))
        groups = [
            {"params": [value], "lr": rates[name if name in rates else name.partition("/")[0]]}
            for name, value in variables.items()
        ]
        return getattr(torch.optim, self.optimizer)(groups, **momentum)

    def _factor(self, step: int) -> float:
        """The learning rate's factor at a step."""
        return 1.0 if self.lr_scheduler == "constant" else 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def _sampled(self, draft: Draft, context: Context, step: int) -> Draft:
        """What the sampler makes of a draft; another noise at every step of the optimisation."""
        assert self.through is not None
        return self.through.chain(
            draft, context, "optimize", context.place, step, gradient_checkpointing=self.gradient_checkpointing
        )

    def _backward(self, draft: Draft, variables: Latents, losses: list[Loss], step: int, context: Context) -> None:
        """Leave the gradients of the loss at the variables.

        Raises:
            Diverged: an objective is not finite.
        """
        chunk = self.chunk or together(context.real.train.shape)
        moved = self._moved(draft, variables)
        reached = moved.latents
        if self.through is not None:
            parts = [self._sampled(moved[part], context, step) for part in blocks(len(moved), chunk)]
            reached = joined(parts).latents
        latents = reached if self.through is None else {k: v.detach().requires_grad_() for k, v in reached.items()}
        synthetic = Synthetic(
            moved.prior,
            latents,
            moved.ids,
            moved.labels,
            conditions=moved.conditions,
            step=step,
            decode=lambda latents: decode(draft.prior, latents, chunk),
        )
        terms = [Term(one.weight, one.scope, loss) for one, loss in zip(self.objectives, losses, strict=True)]
        for objective, value in zip(self.objectives, backward(terms, synthetic, chunk), strict=True):
            if not torch.isfinite(value):
                raise Diverged(
                    f"{objective} is {value.item()} at step {step}, class {context.name_classes(draft.labels)}; "
                    f"lower lr={self.lr} or its weight"
                )
        if self.through is not None:
            pairs = [(reached[name], leaf.grad) for name, leaf in latents.items() if leaf.grad is not None]
            torch.autograd.backward([value for value, _ in pairs], [slope for _, slope in pairs])

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Optimiser steps, each with a decode, the objectives and their gradients."""
        draft = replace(draft, latents=draft.latents or unshaped(draft.prior, context.seed, draft.ids, draft.labels))
        variables = self._variables(draft)
        losses = [objective.bind(context) for objective in self.objectives]
        for objective in self.objectives:
            yield from objective.work(context)
        yield Work(
            "optimize",
            self.steps,
            lambda: self._backward(draft, variables, losses, 0, context),
            rows=len(draft),
        )


def _detached(variables: Latents) -> Latents:
    return {name: value.detach() for name, value in variables.items()}


def _below(kind: str, variables: Latents) -> dict[str, Tensor]:
    return {name.partition("/")[2]: value for name, value in variables.items() if name.startswith(kind + "/")}
