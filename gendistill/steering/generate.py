"""Generation: noise becomes pictures in one pass; they may be held in any space on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import torch

from gendistill.capabilities import Generates, Generator
from gendistill.context import Context, together
from gendistill.draft import Draft
from gendistill.steering.base import Steering, unshaped
from gendistill.steering.drafts import candidates
from gendistill.steering.render import pushed
from gendistill.types import CLEAN, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Generate(Steering):
    """Draw noise, ask for the class, and go as far as a space: from there on its latents are what moves.

    space       name of a space of the prior; None for its first
    oversample  candidates per slot, of which a selection keeps the best
    """

    space: str | None = None
    oversample: int = 1
    begins = True

    def __post_init__(self) -> None:
        if self.oversample < 1:
            raise UserError(f"Generate needs oversample >= 1, got {self.oversample}")

    @property
    def needs(self) -> tuple[type, ...]:
        """A generator."""
        return (Generates,)

    @property
    def copies(self) -> int:
        """Candidates per slot."""
        return self.oversample

    @torch.no_grad()
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """Latents in the space, ``oversample`` times as many as came in.

        Raises:
            UserError: the prior has no such space.
        """
        draft, prior = candidates(draft, self.oversample), cast(Generator, draft.prior)
        latents = unshaped(draft.prior, context.seed, draft.ids, draft.labels)
        if self.space is not None:
            latents = pushed(prior, latents, self.space, together(context.real.train.shape))
        return replace(draft, latents=latents, level=CLEAN)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """One pass as far as the space."""
        yield Work("generate", 1, lambda: self(draft, context), rows=len(draft) * self.oversample)

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """What would come out, without the candidates: it costs one pass."""
        return replace(self, oversample=1)(draft, context)
