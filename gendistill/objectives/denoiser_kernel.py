"""DAP (Su et al., ICLR 2026), https://arxiv.org/abs/2510.17421: the denoiser sees in a noisy picture what it sees in real ones.

    loss_picture = mean_r sqrt(k(x, x) + k(r, r) - 2 k(x, r))  =  mean_r | phi(x) - phi(r) |,   k(a, b) = phi(a).phi(b)

phi are middle layers of the denoiser at the level of x, r real latents of the class noised to that level. A guide takes its
gradient at the noisy latent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.capabilities import Denoises, Encodes, Features
from gendistill.context import Context, encoding, together
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective
from gendistill.types import Level, Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class DenoiserKernel(Objective):
    """Mean distance, by a linear kernel, of a picture from the real ones of its class in the denoiser's own features.

    layers    (from, to) of the denoiser, in shares of its depth
    pictures  real latents per class, by chance; measured once for every level
    """

    layers: tuple[float, float] = (0.15, 0.45)
    pictures: int = 64
    weight: float = 1.0
    needs = (Encodes, Denoises, Features)
    scope = "picture"

    def __post_init__(self) -> None:
        first, last = self.layers
        if not 0 <= first < last <= 1 or self.pictures < 1:
            raise UserError(
                f"DenoiserKernel needs layers (from, to) with 0 <= from < to <= 1 and pictures >= 1, "
                f"got layers={self.layers}, pictures={self.pictures}"
            )

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding of the real pictures; their features cost at every level."""
        return encoding(context)

    def bind(self, context: Context) -> Loss:
        """One number per picture."""
        measured: dict[tuple[int, float, float, float], Tensor] = {}

        def loss(synthetic: Synthetic) -> Losses:
            prior = cast(Any, synthetic.prior)
            conditions = synthetic.conditions or prior.condition(synthetic.labels)
            seen = prior.features(synthetic.x, synthetic.level, conditions, self.layers)
            keys = _keys(synthetic)
            levels = {key[1:] for key in keys}
            for old in [key for key in measured if key[1:] not in levels]:  # a sampler does not come back to one
                del measured[old]
            for key in keys:
                # A prior that is being tuned sees otherwise at every step.
                if key not in measured or context.dry or prior is not context.prior:
                    measured[key] = self.real(prior, context, key[0], Level(*key[1:]))
            return torch.stack([(one - measured[key]).norm(dim=1).mean() for one, key in zip(seen, keys, strict=True)])

        return loss

    @torch.no_grad()
    def real(self, prior: Any, context: Context, index: int, level: Level) -> Tensor:
        """Features of real latents of a class, noised to a level: (pictures, d)."""
        latents = context.latents(index)
        order = torch.randperm(len(latents), generator=seeds.stream(context.seed, "denoiser kernel", index))
        clean = latents[order[: self.pictures]]
        stream = seeds.stream(context.seed, "denoiser kernel", context.place, index, f"{float(level.time):.6f}")
        noisy = level.alpha * clean + level.sigma * torch.randn(clean.shape, generator=stream)
        seen = []
        for block in noisy.split(together(context.real.train.shape)):
            asked = prior.condition(torch.full((len(block),), index))
            seen.append(prior.features(block.to(context.device), level, asked, self.layers))
        return torch.cat(seen)


def _keys(synthetic: Synthetic) -> list[tuple[int, float, float, float]]:
    """Class, alpha, sigma and time of every picture."""
    level, labels = synthetic.level, synthetic.labels.tolist()
    numbers = [
        torch.as_tensor(value, dtype=torch.double).cpu().flatten().expand(len(labels)).tolist()
        for value in (level.alpha, level.sigma, level.time)
    ]
    return list(zip(labels, *numbers, strict=True))
