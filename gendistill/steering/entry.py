"""Where sampling enters its chain of levels: at its first from noise, at that of a noisy start, or on the way from a clean one."""

from __future__ import annotations

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.draft import Draft
from gendistill.priors.schedule import Solver
from gendistill.types import LATENT, UserError

SAME_LEVEL = 2e-3
"""Training times this near are one level: schedulers round their steps to whole ones of a thousand."""


def first_step(draft: Draft, solver: Solver, taken: int, steps: int) -> int:
    """The step a draft comes in at.

    From noise it is the first, from a noisy start that of its level, and from a clean one that with which ``taken`` of all
    ``steps`` are left.

    Raises:
        UserError: no step has its level.
    """
    time = float(draft.level.time)
    if not draft.latents or time >= 1:
        return 0
    if time == 0:
        skipped = solver.scheduler.order * (steps - taken)
        return next(index for index in solver.entries if index >= skipped)
    first = min(solver.entries, key=lambda index: abs(float(solver.levels[index].time) - time))
    nearest = float(solver.levels[first].time)
    if abs(nearest - time) > SAME_LEVEL:
        raise UserError(
            f"the draft is at time {time:.3f}, and {steps} steps of {solver.name} pass {nearest:.3f} but not that: give what made "
            "the draft and Sample the same steps and kind of scheduler"
        )
    return first


def entered(draft: Draft, solver: Solver, first: int, seed: int, generators: list[torch.Generator]) -> Tensor:
    """The scheduler's variable before its step ``first``: of noise, of a noisy start, or of a clean one that is re-noised to it."""
    time = float(draft.level.time)
    if not draft.latents or time >= 1:
        x = draft.latents[LATENT] if draft.latents else draft.prior.noise(seed, draft.ids)[LATENT]
        return x * solver.scheduler.init_noise_sigma if solver.exploding else x
    x = draft.latents[LATENT]
    if time == 0:
        level, noise = solver.levels[first], seeds.normal(generators, draft.prior.latent_shape).to(x.device)
        x = level.alpha * x + level.sigma * noise
    return solver.enter(x, first)
