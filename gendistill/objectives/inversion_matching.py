"""Denoising and inversion agree: the inversion matching of IMS3 (Wang et al., CVPR 2026), https://arxiv.org/abs/2603.13960.

    loss_picture = 1 - cos( mean(x_{t-1} | x_t, clean), alpha_{t-1} clean + sigma_{t-1} e(clean, t) )

The first is where one step of the prior goes from x_t. The second is one step of DDIM inversion from the clean latent to the
same level, where e(clean, t) is the noise that the prior finds in the clean latent itself when it is told the time t; no
gradient flows through it. From notes and the authors' training script; the paper's equations were not at hand. Their script
takes the clean latent for one at level t when it is inverted, clips it to [-1, 1] and averages the cosines of every picture with
every other; here each is compared with its own inversion, which starts from the level it is at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F

from gendistill.capabilities import Denoises, Diffusion
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective
from gendistill.objectives.denoising import asked, noised
from gendistill.priors.heads import rows_like
from gendistill.priors.schedule import Schedule
from gendistill.types import CLEAN, Level, Losses


@dataclass(frozen=True)
class InversionMatching(Objective):
    """One minus the cosine of the latent one denoising step down with the clean estimate's inversion to that level.

    Fine-tuning and sampling say at which level the picture is. Where it is clean, a level is drawn anew at every step.
    """

    weight: float = 0.002
    needs = (Denoises,)
    scope = "picture"

    def bind(self, context: Context) -> Loss:
        """One number per picture."""

        def loss(synthetic: Synthetic) -> Losses:
            prior, conditions = cast(Diffusion, synthetic.prior), asked(synthetic)
            x, level, clean = synthetic.x, synthetic.level, synthetic.clean
            if not torch.as_tensor(level.sigma).any():
                key = (context.seed, "inversion matching", context.place, synthetic.step)
                x, level, _ = noised(synthetic, (0.0, 1.0), *key)
                clean = prior.denoise(x, level, conditions).clean
            steps = (torch.as_tensor(level.time) * prior.schedule.total).round().int().cpu().expand(len(x)).tolist()
            keep, pull, alpha, sigma = (
                rows_like(column, x) for column in torch.tensor([down(prior.schedule, t) for t in steps]).T.to(x)
            )
            with torch.no_grad():
                start = clean.detach()
                again = prior.denoise(start, level, conditions).clean
                noise = (start - rows_like(level.alpha, x) * again) / rows_like(level.sigma, x)
                inverted = alpha * start + sigma * noise
            return 1 - F.cosine_similarity((keep * x + pull * clean).flatten(1), inverted.flatten(1))

        return loss


def down(schedule: Schedule, t: int) -> tuple[float, float, float, float]:
    """One step from level t to the one below, s: the mean of x_s is keep x_t + pull clean; and alpha and sigma of s.

    Of Gaussian paths in general: with r = alpha_t / alpha_s, keep = r sigma_s^2 / sigma_t^2 and
    pull = alpha_s (sigma_t^2 - r^2 sigma_s^2) / sigma_t^2. For variance preserving ones these are DDPM's (Ho et al., 2020, Eq. 7).
    """
    now, below = schedule.level(t), schedule.level(t - 1) if t > 0 else CLEAN
    (alpha, sigma), (alpha_s, sigma_s) = _numbers(now), _numbers(below)
    ratio = alpha / alpha_s
    return (
        ratio * sigma_s**2 / sigma**2,
        alpha_s * (sigma**2 - (ratio * sigma_s) ** 2) / sigma**2,
        alpha_s,
        sigma_s,
    )


def _numbers(level: Level) -> tuple[float, float]:
    return float(level.alpha), float(level.sigma)
