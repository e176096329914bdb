"""Sampling: from noise, or from a re-noised start, to clean latents, by any diffusers scheduler, with cfg and guides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gendistill import seeds
from gendistill.capabilities import Denoises, Diffusion, Embeds
from gendistill.classifier_free import guided
from gendistill.context import Context, together
from gendistill.draft import Draft
from gendistill.objectives.base import Objective, Scope, named, widest
from gendistill.priors.schedule import Solver, check_solver
from gendistill.steering.base import Steering, asked
from gendistill.steering.conditioning import Conditioning
from gendistill.steering.drafts import candidates, earlier, joined, turns
from gendistill.steering.entry import entered, first_step
from gendistill.steering.guide import (
    BoundGuide,
    Guide,
    Moment,
    bind,
    check_pulls,
    displaced,
    gradient,
    refuse_what_guides_left,
)
from gendistill.types import CLEAN, LATENT, Conditions, Diverged, Estimate, Level, UserError
from gendistill.work import Work

MOST_CFG = 100.0
"""Beyond it the difference that classifier-free guidance multiplies is all that is left; published ones go to some 20."""


@dataclass(frozen=True)
class Sample(Steering):
    """Denoise step by step.

    steps         of the scheduler
    cfg           classifier-free guidance: null + cfg (conditional - null); 1 is none
    scheduler     a diffusers scheduler by name, None for the checkpoint's own
    guides        what steers the clean estimate
    strength      share of the steps taken from a clean start, as in diffusers' image-to-image; 1 from noise
    oversample    candidates per slot, of which a selection keeps the best
    eta           noise added by DDIM, 0 for none
    at_once       pictures of a class made together, after which those made before, in earlier rounds too, are what a guide sees
                  as made; None for all of a block, when nothing is seen as made
    conditioning  how the conditions change with the level; None for the class alone
    keep_start    share of a clean start in the clean estimate, from this at the first step to 0 at the last (LD3M's residual);
                  a noisy start is refused
    """

    steps: int = 50
    cfg: float = 4.0
    scheduler: str | None = None
    guides: tuple[Guide, ...] = ()
    strength: float = 1.0
    oversample: int = 1
    eta: float = 0.0
    at_once: int | None = None
    conditioning: Conditioning | None = None
    keep_start: float = 0.0
    begins = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.oversample < 1 or not 0 < self.strength <= 1:
            raise UserError(
                f"Sample needs steps >= 1, oversample >= 1 and 0 < strength <= 1, got steps={self.steps}, "
                f"oversample={self.oversample}, strength={self.strength}"
            )
        if not (0 <= self.cfg <= MOST_CFG and 0 <= self.eta <= 1):
            raise UserError(
                f"cfg={self.cfg} must be in [0, {MOST_CFG:g}], 1.5 to 10 is usual; eta={self.eta} in [0, 1], 0 adds no noise"
            )
        if int(self.steps * self.strength) < 1:
            raise UserError(f"strength={self.strength} of steps={self.steps} is less than one step; raise one of them")
        if not 0 <= self.keep_start <= 1 or (self.at_once is not None and self.at_once < 1):
            raise UserError(
                f"keep_start={self.keep_start} must be in [0, 1], at_once={self.at_once} at least 1 or None"
            )
        check_solver(self.scheduler)
        object.__setattr__(self, "guides", tuple(self.guides))

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Those of the guides."""
        return tuple(guide.objective for guide in self.guides)

    @property
    def scope(self) -> Scope:
        """The widest scope of the guides; a class at least where pictures follow each other."""
        return widest([super().scope, "picture" if self.at_once is None else "class"])

    @property
    def needs(self) -> tuple[type, ...]:
        """A prior that denoises, and what guides and conditioning need."""
        return (Denoises, *super().needs, *(self.conditioning.needs if self.conditioning else ()))

    @property
    def copies(self) -> int:
        """Candidates per slot."""
        return self.oversample

    @torch.no_grad()
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """Clean latents, ``oversample`` times as many as came in.

        Raises:
            UserError: the scheduler cannot step this prior in so many steps, or not from what came in; or a guide would never
                act, or guides overshoot at every step they act at.
            Diverged: latents are not finite or left the range of latents, or guides blew pictures out; names class, step and
                objective.
        """
        self.fits(draft, context)  # before an objective trains a network
        draft, bound = candidates(draft, self.oversample), bind(self.guides, context)
        if self.at_once is None:
            return self.chain(draft, context, "sample", context.place, bound=bound)
        order, before, parts = turns(draft, self.at_once), earlier(draft, context) if bound else [], []
        for rows in order:
            made = joined([*before, *parts]) if before or parts else None
            parts.append(self.chain(draft[rows], context, "sample", context.place, bound=bound, made=made))
        return joined(parts)[torch.cat(order).argsort()]

    def chain(
        self,
        draft: Draft,
        context: Context,
        *key: seeds.Part,
        bound: Sequence[BoundGuide] = (),
        made: Draft | None = None,
        gradient_checkpointing: bool = True,
    ) -> Draft:
        """The draft after all steps; ``key`` says which noise is drawn. Differentiable where gradients are enabled.

        Then, with ``gradient_checkpointing``, every evaluation of the denoiser is computed again on the way back, so that memory
        holds one of them.

        Raises:
            UserError: no step has the draft's level, or it is noisy where a clean start is asked for.
            Diverged: as when it is called.
        """
        prior, unrolled = cast(Diffusion, draft.prior), torch.is_grad_enabled()
        solver = self._solver(draft)
        generators = seeds.streams(draft.ids, context.seed, *key)
        draft = asked(draft)
        assert draft.conditions is not None
        asking = self._asking(prior, draft.conditions, draft, context, key)
        start = draft.latents.get(LATENT)
        first = self._first(draft, solver)
        x = entered(draft, solver, first, context.seed, generators)
        draft = replace(draft, latents={LATENT: x.detach()})
        chunk, steps = together(context.real.train.shape), len(solver.levels)
        # What is unrolled is one whole, kept or computed again: blocks of their own would be computed once more.
        block = None if unrolled else context.block * self.copies
        for index in range(first, steps):
            level, after = solver.levels[index], solver.after(index)
            acting = [item for item in bound if item.guide.acts(level)]
            through = any(item.guide.gradient == "denoiser" for item in acting)
            seen, conditions = solver.network_input(x, index), asking(level)
            if through:
                seen = seen.detach().requires_grad_()
            now = Moment(draft, seen, conditions, level, after, index, made, chunk)
            early = [item for item in acting if item.guide.before_cfg]
            late = [item for item in acting if not item.guide.before_cfg]

            def estimated(seen: Tensor, now: Moment = now, early: list[BoundGuide] = early) -> Estimate:
                return self._estimate(prior, seen, now, early, context.name_classes, block)

            with torch.set_grad_enabled(through or unrolled):
                again = unrolled and gradient_checkpointing
                estimate = checkpoint(estimated, seen, use_reentrant=False) if again else estimated(seen)
            if late:
                estimate = displaced(estimate, late, now, context.name_classes)
            if self.keep_start and start is not None:
                share = self.keep_start * (1 - (index - first) / max(steps - 1 - first, 1))
                estimate = replace(estimate, clean=torch.lerp(estimate.clean, start, share))
            x = solver.step(estimate, seen if unrolled else seen.detach(), x, index, generators)
        if not torch.isfinite(x).all():
            bad = draft.labels[~torch.isfinite(x).flatten(1).all(1).cpu()]
            raise Diverged(f"sampling diverged for class {context.name_classes(bad)} with {self}")
        if bound:
            refuse_what_guides_left(replace(draft, latents={LATENT: x}), bound, steps - 1, context)
        return replace(draft, latents={LATENT: x}, level=CLEAN)

    def _solver(self, draft: Draft) -> Solver:
        return cast(Diffusion, draft.prior).schedule.solver(self.scheduler, self.steps, self.eta)

    def fits(self, draft: Draft, context: Context) -> None:
        """Refuse levels that no step has, settings that nothing would come of, and guides that overshoot at every step."""
        solver = self._solver(draft)
        first = self._first(draft, solver)
        acting = solver.levels[first:]
        for guide in self.guides:
            if not any(map(guide.acts, acting)):
                times = ", ".join(f"{float(level.time):.2f}" for level in acting)
                raise UserError(
                    f"the guide by {named([guide.objective])} would never act: its window={guide.window} holds none of the "
                    f"{len(acting)} steps, whose times are {times}; widen it, or take more steps"
                )
        check_pulls(self.guides, self.cfg, ((level, solver.after(first + i)) for i, level in enumerate(acting)))

    def _first(self, draft: Draft, solver: Solver) -> int:
        """The step a draft comes in at.

        Raises:
            UserError: no step has its level, or what is asked for is about a clean start and it is none.
        """
        time = float(draft.level.time) if draft.latents else 1.0
        about = {"strength": self.strength} if self.strength < 1 else {}
        about |= {"keep_start": self.keep_start} if self.keep_start else {}
        if time > 0 and about:
            asked = " and ".join(f"{name}={value}" for name, value in about.items())
            raise UserError(
                f"{asked} asks for a clean start, and what Sample begins with here is noisy (time {time:.2f}): put one before it, "
                "such as Start(anchors=Modes()), or leave that out"
            )
        return first_step(draft, solver, int(self.steps * self.strength), self.steps)

    def _asking(
        self, prior: Diffusion, conditions: Conditions, draft: Draft, context: Context, key: tuple[seeds.Part, ...]
    ) -> Callable[[Level], Conditions]:
        """The conditions at each level."""
        if self.conditioning is None:
            return lambda level: conditions
        conditioning, embedding = self.conditioning, cast(Embeds, prior)

        def embed(labels: Tensor) -> Conditions:
            return embedding.embed(prior.condition(labels))

        wanted = embedding.embed(conditions)
        generators = seeds.streams(draft.ids, context.seed, "conditioning", *key)
        drawn = conditioning.draw(embed, draft.labels, len(context.real.classes), generators)
        return lambda level: conditioning(wanted, drawn, level)

    def _estimate(
        self,
        prior: Diffusion,
        seen: Tensor,
        now: Moment,
        early: Sequence[BoundGuide],
        names: Callable[[Tensor], str],
        block: int | None,
    ) -> Estimate:
        """The clean estimate, with classifier-free guidance on the channels the prior guides.

        To a gradient that passes through it, what early guides add is a constant.
        """

        def change(asked: Tensor) -> Tensor:
            return displaced(Estimate(asked), early, now, names).clean + (asked - asked.detach())

        return guided(prior, seen, now.level, now.conditions, self.cfg, change if early else None, block)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Denoiser evaluations (both halves of cfg in one call) and guided steps."""
        for objective in self.objectives:
            yield from objective.work(context)
        draft = candidates(draft, self.oversample)
        turn = turns(draft, self.at_once)[0] if self.at_once else torch.arange(len(draft))
        times = len(draft) / len(turn)
        solver = self._solver(draft)
        self.fits(draft, context)
        first, draft = self._first(draft, solver), draft[turn]
        prior, made = cast(Diffusion, draft.prior), replace(draft, latents=draft.prior.noise(context.seed, draft.ids))
        x, conditions = made.latents[LATENT], prior.condition(draft.labels)
        chunk, level = together(context.real.train.shape), solver.levels[len(solver.levels) // 2]
        block = context.block * self.copies
        now = Moment(made, x, conditions, level, CLEAN, 0, made if self.at_once else None, chunk)

        @torch.no_grad()
        def denoise() -> Estimate:
            return self._estimate(prior, x, now, (), context.name_classes, block)

        yield Work("denoise", times * (len(solver.levels) - first), denoise, rows=len(x) * (1 if self.cfg == 1 else 2))
        for guide in self.guides:
            bound = bind([guide], context)
            acts = sum(guide.acts(at) for at in solver.levels[first:])

            def guided(bound: list[BoundGuide] = bound, guide: Guide = guide) -> Tensor:
                seen = x.clone().requires_grad_(guide.gradient == "denoiser")
                with torch.set_grad_enabled(seen.requires_grad):
                    estimate = (
                        self._estimate(prior, seen, now, (), context.name_classes, block)
                        if seen.requires_grad
                        else Estimate(x)
                    )
                return gradient(bound[0], estimate, estimate.clean.detach(), replace(now, x=seen))

            yield Work("guide", times * acts, guided, rows=len(x))
