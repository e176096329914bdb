"""Pictures in the making: as steps hand them on, and as objectives see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from gendistill.capabilities import LoadedPrior
from gendistill.types import CLEAN, LATENT, Conditions, Ids, Labels, Latents, Level, Losses, Pixels, UserError


@dataclass(frozen=True)
class Draft:
    """Pictures in the making: what one steering step hands to the next.

    latents     by name, (n, ...) each; empty before the first step
    level       how noisy the latents are; CLEAN means `decode` may be called
    conditions  what the prior is asked for; None before a prior was asked
    ids         (n, 3) class, slot, candidate
    labels      (n,) class of each picture
    weight      (n,) how much each picture counts when a student learns from it
    prompts     what was said for each picture, where the prior is asked in words; None before, and for other priors
    """

    prior: LoadedPrior
    latents: Latents
    ids: Ids
    labels: Labels
    weight: Tensor
    level: Level = CLEAN
    conditions: Conditions | None = None
    prompts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Draft:
        return replace(
            self,
            latents={k: v[rows] for k, v in self.latents.items()},
            ids=self.ids[rows],
            labels=self.labels[rows],
            weight=self.weight[rows],
            conditions=None if self.conditions is None else self.conditions[rows],
            prompts=picked(self.prompts, torch.arange(len(self))[rows]),
        )


def picked(texts: tuple[str, ...] | None, rows: Tensor) -> tuple[str, ...] | None:
    """The texts at these positions; None where there are none."""
    return None if texts is None else tuple(texts[int(row)] for row in rows)


class Synthetic:
    """Pictures as an objective sees them, the same in sampling, optimisation and fine-tuning.

    x        the latent at its noise level (equal to ``clean`` at level CLEAN)
    clean    the clean latent, or its estimate
    pixels   ``clean`` decoded, on first use only: an objective in latent space costs no decoder
    step     of the optimisation or the sampler: what is drawn anew at every step follows from it
    made     pictures of these classes that were finished before, where they are made one after the other; else None
    """

    def __init__(
        self,
        prior: LoadedPrior,
        latents: Latents,
        ids: Ids,
        labels: Labels,
        *,
        x: Tensor | None = None,
        level: Level = CLEAN,
        conditions: Conditions | None = None,
        step: int = 0,
        made: Draft | None = None,
        decode: Callable[[Latents], Pixels] | None = None,
    ) -> None:
        """``decode`` replaces the prior's own, where memory or a cheaper decoder for gradients asks for it."""
        self.prior, self.latents, self.ids, self.labels = prior, latents, ids, labels
        self.level, self.conditions, self.step, self.made = level, conditions, step, made
        self._decode = decode or prior.decode
        self._x: Tensor | None = x
        self._pixels: Pixels | None = None

    @property
    def clean(self) -> Tensor:
        """The clean latent of a prior with a single one, (n, *latent_shape).

        Raises:
            UserError: the prior has none, but a hierarchy of spaces.
        """
        if LATENT not in self.latents:
            raise UserError(
                "this objective looks at the latent of a diffusion prior, and these pictures are made of "
                f"{', '.join(self.latents)}: use one that looks at pixels, or put AsPixels() before the step"
            )
        return self.latents[LATENT]

    @property
    def x(self) -> Tensor:
        """The latent at its noise level."""
        return self.clean if self._x is None else self._x

    @property
    def pixels(self) -> Pixels:
        """Pixels of the clean latent, differentiable, not clamped."""
        if self._pixels is None:
            self._pixels = self._decode(self.latents)
        return self._pixels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def leaves(self) -> list[Tensor]:
        """What gradients are asked for: latents, the noisy latent and conditions, where they require any."""
        asked = () if self.conditions is None else self.conditions.values.values()
        return [one for one in (*self.latents.values(), self._x, *asked) if one is not None and one.requires_grad]

    def part(self, rows: slice) -> Synthetic:
        """Some of the pictures, decoded by themselves, with leaves of their own in the place of those here."""

        def own(value: Tensor) -> Tensor:
            return value[rows].detach().requires_grad_(value.requires_grad)

        conditions = None
        if self.conditions is not None:
            values = {name: own(value) for name, value in self.conditions.values.items()}
            conditions = Conditions(values, self.conditions[rows].null)

        def of_level(value: float | Tensor) -> float | Tensor:
            return value[rows] if isinstance(value, Tensor) and value.dim() else value

        return Synthetic(
            self.prior,
            {name: own(value) for name, value in self.latents.items()},
            self.ids[rows],
            self.labels[rows],
            x=None if self._x is None else own(self._x),
            level=Level(*map(of_level, (self.level.alpha, self.level.sigma, self.level.time))),
            conditions=conditions,
            step=self.step,
            made=self.made,
            decode=self._decode,
        )


Loss: TypeAlias = Callable[[Synthetic], Losses]
"""An objective bound to real pictures: one number per group it can tell apart, to be summed."""
