"""Where pictures begin: noise, real pictures, or modes of the class. `Sample` re-noises clean starts by its ``strength``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from gendistill.anchors.base import Anchors
from gendistill.capabilities import Denoises
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.steering.base import Steering, unshaped
from gendistill.types import CLEAN, LATENT, Level, RealData
from gendistill.work import Work

NOISE = Level(0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Start(Steering):
    """Put latents where there are none yet.

    anchors  real points to begin from, encoded; None for noise
    """

    anchors: Anchors | None = None
    begins = True

    @property
    def moves(self) -> bool:
        """Only noise is made here."""
        return self.anchors is None

    @property
    def needs(self) -> tuple[type, ...]:
        """Those of the anchors."""
        return () if self.anchors is None else self.anchors.needs

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers that chose the anchors."""
        return [] if self.anchors is None else self.anchors.origins(licence)

    def check(self, data: RealData, ipc: int) -> None:
        """As the anchors."""
        if self.anchors is not None:
            self.anchors.check(data, ipc)

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """Latents of the anchors at their level, or noise: at level 1 for a prior that denoises."""
        level = self._level(draft, context)
        if self.anchors is None:
            latents = unshaped(draft.prior, context.seed, draft.ids, draft.labels)
            return replace(draft, latents=latents, level=level)
        shape = draft.prior.latent_shape
        found = torch.empty(len(draft), *shape)
        for index in draft.labels.unique().tolist():
            rows = draft.labels == index
            found[rows] = self.anchors.find(context, index, draft.ids[rows, 1])
        return replace(draft, latents={LATENT: found.to(context.device)}, level=level)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Finding the anchors."""
        return () if self.anchors is None else self.anchors.work(context)

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """Unshaped latents, said to be of the level that `__call__` gives."""
        draft = super().imagined(draft, context)
        return replace(draft, level=self._level(draft, context))

    def _level(self, draft: Draft, context: Context) -> Level:
        if self.anchors is not None:
            return self.anchors.level(context)
        return NOISE if isinstance(draft.prior, Denoises) else CLEAN  # where nothing denoises, noise is a picture
