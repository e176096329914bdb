"""From latents to pictures: differentiable pixels in bounded memory, and the 8-bit pictures that are kept."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from gendistill.types import Draft, Latents, LoadedPrior, Pixels, Stored


def rows(latents: Latents, part: slice) -> Latents:
    """Some rows of every named latent."""
    return {name: value[part] for name, value in latents.items()}


def decode(prior: LoadedPrior, latents: Latents, chunk: int) -> Pixels:
    """Pixels of all latents, differentiable, holding the decoder's activations of one chunk only.

    The gradient takes two passes (GLaD, Cazenavette et al., CVPR 2023, section 3.3): chunks are decoded without a graph, and
    decoded again when their gradient is asked for, so memory does not grow with the number of pictures.
    """
    total = len(next(iter(latents.values())))
    if total <= chunk:
        return prior.decode(latents)
    parts = [rows(latents, slice(at, at + chunk)) for at in range(0, total, chunk)]
    if not torch.is_grad_enabled():
        return torch.cat([prior.decode(part) for part in parts])
    return torch.cat([checkpoint(prior.decode, part, use_reentrant=False) for part in parts])


@torch.no_grad()
def render(draft: Draft, chunk: int) -> Stored:
    """The finished 8-bit pictures of a clean draft, (n, c, h, w) uint8 on the CPU: decoded, clamped, rounded."""
    parts = [rows(draft.latents, slice(at, at + chunk)) for at in range(0, len(draft), chunk)]
    return torch.cat(
        [draft.prior.decode(part).float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu() for part in parts]
    )
