"""Sampling: from noise, or from a re-noised start, to clean latents, by any diffusers scheduler, with cfg and guides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context, together
from gendistill.objectives.base import Objective
from gendistill.priors.schedule import check_solver
from gendistill.steering.base import Steering
from gendistill.steering.guide import BoundGuide, Guide, bind, displaced
from gendistill.types import CLEAN, LATENT, Conditions, Denoises, Diffusion, Diverged, Draft, Estimate, Level, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Sample(Steering):
    """Denoise step by step.

    steps       of the scheduler
    cfg         classifier-free guidance: null + cfg (conditional - null); 1 is none
    scheduler   a diffusers scheduler by name, None for the checkpoint's own
    guides      what steers the clean estimate
    strength    share of the steps taken from a clean start, as in diffusers' image-to-image; 1 from noise
    oversample  candidates per slot, of which a `Select` keeps the best
    eta         noise added by DDIM, 0 for none
    """

    steps: int = 50
    cfg: float = 4.0
    scheduler: str | None = None
    guides: tuple[Guide, ...] = ()
    strength: float = 1.0
    oversample: int = 1
    eta: float = 0.0
    begins = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.oversample < 1 or not 0 < self.strength <= 1 or self.cfg < 0:
            raise UserError(
                f"Sample needs steps >= 1, oversample >= 1, 0 < strength <= 1 and cfg >= 0, got steps={self.steps}, "
                f"oversample={self.oversample}, strength={self.strength}, cfg={self.cfg}"
            )
        if int(self.steps * self.strength) < 1:
            raise UserError(f"strength={self.strength} of steps={self.steps} is less than one step; raise one of them")
        check_solver(self.scheduler)
        object.__setattr__(self, "guides", tuple(self.guides))

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Those of the guides."""
        return tuple(guide.objective for guide in self.guides)

    @property
    def needs(self) -> tuple[type, ...]:
        """A prior that denoises, and what the guides need."""
        return (Denoises, *super().needs)

    @property
    def copies(self) -> int:
        """Candidates per slot."""
        return self.oversample

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """Clean latents, ``oversample`` times as many as came in.

        Raises:
            Diverged: the latents are not finite; names class and step.
        """
        draft = candidates(draft, self.oversample)
        prior, bound = cast(Diffusion, draft.prior), bind(self.guides, context)
        solver = prior.schedule.solver(self.scheduler, self.steps, context.device, self.eta)
        conditions = prior.condition(draft.labels)
        generators = seeds.streams(draft.ids, context.seed, "sample", context.place)
        x, first = self._begin(draft, solver, generators, context)
        draft = replace(draft, latents={LATENT: x}, conditions=conditions)
        chunk = together(context.real.train.shape)
        grad = any(item.guide.through == "denoiser" for item in bound)
        both = _with_null(conditions) if self.cfg != 1 else conditions
        for index in range(first, len(solver.levels)):
            level = solver.levels[index]
            after = solver.levels[index + 1] if index + 1 < len(solver.levels) else CLEAN
            acting = [item for item in bound if item.guide.acts(level)]
            seen = solver.network_input(x, index)
            if grad and acting:
                seen = seen.detach().requires_grad_()
            with torch.set_grad_enabled(grad and bool(acting)):
                estimate = self._estimate(prior, seen, level, both)
            if acting:
                estimate = displaced(estimate, acting, draft, seen, conditions, (level, after), index, chunk)
            with torch.no_grad():
                x = solver.step(estimate, seen.detach(), x, index, generators)
        if not torch.isfinite(x).all():
            bad = draft.labels[~torch.isfinite(x).flatten(1).all(1).cpu()].unique().tolist()
            raise Diverged(
                f"sampling diverged for class {', '.join(str(context.real.classes[i]) for i in bad)} with {self}"
            )
        return replace(draft, latents={LATENT: x}, level=CLEAN)

    def _begin(self, draft: Draft, solver, generators: list[torch.Generator], context: Context) -> tuple[Tensor, int]:
        """The scheduler's variable and the first step."""
        if not draft.latents:
            start = draft.prior.noise(context.seed, draft.ids)[LATENT]
            return (start * solver.scheduler.init_noise_sigma if solver.exploding else start), 0
        x = draft.latents[LATENT]
        if float(draft.level.time) >= 1:
            return (x * solver.scheduler.init_noise_sigma if solver.exploding else x), 0
        order = solver.scheduler.order
        first = order * (self.steps - int(self.steps * self.strength))
        level = solver.levels[first]
        noise = seeds.normal(generators, draft.prior.latent_shape).to(x.device)
        return solver.enter(level.alpha * x + level.sigma * noise, first), first

    def _estimate(self, prior, seen: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The clean estimate, with classifier-free guidance on the channels the prior guides."""
        if self.cfg == 1:
            return prior.denoise(seen, level, conditions)
        estimate = prior.denoise(torch.cat([seen, seen]), level, conditions)
        asked, null = estimate.clean.chunk(2)
        clean = torch.lerp(null, asked, self.cfg)
        if prior.cfg_channels < clean.shape[1]:
            clean = torch.cat([clean[:, : prior.cfg_channels], asked[:, prior.cfg_channels :]], 1)
        return Estimate(clean, None if estimate.log_variance is None else estimate.log_variance.chunk(2)[0])

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Denoiser evaluations (both halves of cfg in one call) and guided steps."""
        for objective in self.objectives:
            yield from objective.work(context)
        draft = candidates(draft, self.oversample)
        prior = cast(Diffusion, draft.prior)
        solver = prior.schedule.solver(self.scheduler, self.steps, context.device, self.eta)
        x = prior.noise(context.seed, draft.ids)[LATENT]
        conditions = prior.condition(draft.labels)
        first = solver.scheduler.order * (self.steps - int(self.steps * self.strength)) if draft.latents else 0
        both = _with_null(conditions) if self.cfg != 1 else conditions
        level = solver.levels[len(solver.levels) // 2]

        @torch.no_grad()
        def denoise() -> Estimate:
            return self._estimate(prior, x, level, both)

        yield Work("denoise", len(solver.levels) - first, denoise, rows=len(draft) * (1 if self.cfg == 1 else 2))
        chunk = together(context.real.train.shape)
        for guide in self.guides:
            bound = bind([guide], context)
            steps = sum(guide.acts(at) for at in solver.levels[first:])
            ready = replace(draft, latents={LATENT: x})

            def guided(bound: list[BoundGuide] = bound, ready: Draft = ready) -> Estimate:
                seen = x.clone().requires_grad_(bound[0].guide.through == "denoiser")
                with torch.set_grad_enabled(seen.requires_grad):
                    estimate = self._estimate(prior, seen, level, both) if seen.requires_grad else Estimate(x)
                return displaced(estimate, bound, ready, seen, conditions, (level, CLEAN), 0, chunk)

            yield Work("guide", steps, guided, rows=len(draft))


def candidates(draft: Draft, count: int) -> Draft:
    """Every picture ``count`` times, candidates numbered from 0."""
    if count == 1:
        return draft
    copied = draft[torch.arange(len(draft)).repeat_interleave(count)]
    ids = copied.ids.clone()
    ids[:, 2] = ids[:, 2] * count + torch.arange(count).repeat(len(draft))
    return replace(copied, ids=ids)


def _with_null(conditions: Conditions) -> Conditions:
    return Conditions({name: torch.cat([value, conditions.null[name]]) for name, value in conditions.values.items()})
