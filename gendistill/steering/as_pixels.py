"""From latents to pixels: what follows shapes the pictures themselves, and the decoder no longer limits them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from gendistill.capabilities import LoadedPrior
from gendistill.context import Context, together
from gendistill.draft import Draft
from gendistill.priors.pixels import LoadedPixels
from gendistill.steering.base import Steering
from gendistill.steering.render import decode
from gendistill.types import LATENT
from gendistill.work import Work


@dataclass(frozen=True)
class AsPixels(Steering):
    """Decode the pictures once; from here on their pixels are their latents."""

    def loads(self, before: type) -> type:
        """The identity on pixels."""
        return LoadedPixels

    def tune(self, context: Context) -> LoadedPrior:
        """The identity on pixels of the data's shape."""
        return LoadedPixels(context.real.train.shape, context.device)

    @torch.no_grad()
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The pictures in [0, 1], float32."""
        assert context.prior is not None
        pixels = decode(draft.prior, draft.latents, together(context.real.train.shape)).float().clamp(0, 1)
        return replace(draft, prior=context.prior, latents={LATENT: pixels}, conditions=None)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """One decode."""
        if draft.latents:
            yield Work("decode", 1, lambda: self(draft, context), rows=len(draft))
