"""The prior agrees with the latent: the denoising loss of the latent itself, as CaO2 refines its pictures.

CaO2 (Wang et al., ICCV 2025), https://arxiv.org/abs/2506.22637.

    loss_picture = mean_{t, noise} mean (e - noise)^2 + infinity max |e - noise|,   x = alpha clean + sigma noise

where e is the noise that the prior finds in x. From the clean estimate it is (x - alpha estimate) / sigma, so that

    e - noise = alpha (clean - estimate) / sigma

Level and noise are drawn anew at every step; the authors' code draws the noise of a picture once, before its 100 steps, and only
the level at each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gendistill import seeds
from gendistill.capabilities import Denoises, Diffusion
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective
from gendistill.priors.heads import rows_like
from gendistill.types import Conditions, Level, Losses, UserError


@dataclass(frozen=True)
class Denoising(Objective):
    """How badly the prior finds the noise that was added to a clean latent.

    times      (from, to) in training time, of the levels that are drawn anew at every step; the authors' 1 .. 11 of 50
    draws      levels and noises per picture and step
    condition  what the prior is asked for: "class", as the picture was; "null", nothing (the authors, where classes are alike)
    infinity   weight of the largest error of a picture beside its mean square
    """

    times: tuple[float, float] = (0.02, 0.22)
    draws: int = 1
    condition: Literal["class", "null"] = "class"
    infinity: float = 10.0
    weight: float = 1.0
    needs = (Denoises,)
    scope = "picture"
    looks_at_real = False

    def __post_init__(self) -> None:
        low, high = self.times
        if not 0 <= low <= high <= 1:
            raise UserError(
                f"times={self.times} must be (from, to) in training time with 0 <= from <= to <= 1; 1 is noise"
            )
        if self.draws < 1 or self.infinity < 0:
            raise UserError(
                f"Denoising needs draws >= 1 and infinity >= 0, got draws={self.draws}, infinity={self.infinity}"
            )
        if self.condition not in ("class", "null"):
            raise UserError(f"condition={self.condition!r}: 'class' or 'null'")

    def bind(self, context: Context) -> Loss:
        """One number per picture; `UserError` when it is asked of a prior that knows no null, if ``condition`` is "null"."""

        def one(synthetic: Synthetic, conditions: Conditions, number: int) -> Tensor:
            key = (context.seed, "denoising", context.place, synthetic.step, number)
            x, level, _ = noised(synthetic, self.times, *key)
            estimate = cast(Diffusion, synthetic.prior).denoise(x, level, conditions).clean
            ratio = rows_like(torch.as_tensor(level.alpha) / level.sigma, x)
            error = (ratio * (synthetic.clean - estimate)).flatten(1)
            return error.square().mean(1) + self.infinity * error.abs().amax(1)

        def loss(synthetic: Synthetic) -> Losses:
            conditions = asked(synthetic)
            if self.condition == "null":
                if not conditions.null:
                    raise UserError("condition='null': this prior knows no null; use condition='class'")
                conditions = Conditions(conditions.null)
            # The denoiser's activations are held for one draw at a time.
            run = one if self.draws == 1 else partial(checkpoint, one, use_reentrant=False)
            return torch.stack([run(synthetic, conditions, number) for number in range(self.draws)]).mean(0)

        return loss


def asked(synthetic: Synthetic) -> Conditions:
    """What the pictures were asked for; their classes where nothing was asked yet."""
    return synthetic.conditions or cast(Diffusion, synthetic.prior).condition(synthetic.labels)


def noised(synthetic: Synthetic, times: tuple[float, float], *key: int | str) -> tuple[Tensor, Level, Tensor]:
    """The clean latents at a level each, the levels (n,), and the noise. A picture's follow from its id and ``key`` alone."""
    clean, schedule = synthetic.clean, cast(Diffusion, synthetic.prior).schedule
    first = min(max(round(times[0] * schedule.total), 1), schedule.total - 1)
    last = min(max(round(times[1] * schedule.total), first), schedule.total - 1)
    generators = seeds.streams(synthetic.ids, *key)
    steps = torch.cat([torch.randint(first, last + 1, (1,), generator=generator) for generator in generators])
    level = schedule.levels(steps.to(clean.device))
    noise = seeds.normal(generators, clean.shape[1:]).to(clean)
    return rows_like(level.alpha, clean) * clean + rows_like(level.sigma, clean) * noise, level, noise
