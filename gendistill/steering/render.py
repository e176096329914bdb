"""From latents to pictures: differentiable pixels in bounded memory, and the 8-bit pictures that are kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gendistill.capabilities import Generator, LoadedPrior
from gendistill.context import blocks
from gendistill.draft import Draft
from gendistill.types import Diverged, Latents, Pixels, Stored

CONSTANT = 1 / 255
"""Range of values in [0, 1] below which a picture shows nothing."""
SATURATED = 0.5
"""Mean distance of values from [0, 1] beyond which clamping leaves black and white."""


def rows(latents: Latents, part: slice) -> Latents:
    """Some rows of every named latent."""
    return {name: value[part] for name, value in latents.items()}


def decode(prior: LoadedPrior, latents: Latents, chunk: int) -> Pixels:
    """Pixels of all latents, differentiable, holding the decoder's activations of one chunk only.

    Chunks are decoded without a graph, and decoded again when their gradient is asked for. The pixels themselves are held:
    where that is too much, `in_parts` asks for them chunk by chunk.
    """
    total = len(next(iter(latents.values())))
    if total <= chunk:
        return prior.decode(latents)
    parts = [rows(latents, part) for part in blocks(total, chunk)]
    if not torch.is_grad_enabled():
        return torch.cat([prior.decode(part) for part in parts])
    return torch.cat([checkpoint(prior.decode, part, use_reentrant=False) for part in parts])


@torch.no_grad()
def pushed(prior: Generator, latents: Latents, space: str, chunk: int) -> Latents:
    """The same pictures in a later space of a generator, ``chunk`` of them at a time."""
    total = len(next(iter(latents.values())))
    parts = [prior.push(rows(latents, part), space) for part in blocks(total, chunk)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@torch.no_grad()
def render(draft: Draft, chunk: int, names: Callable[[Tensor], str] | None = str) -> Stored:
    """The finished 8-bit pictures of a clean draft, (n, c, h, w) uint8 on the CPU: decoded, clamped, rounded.

    ``names`` tells their classes for an error; None looks for none, since real pictures may be of one value.

    Raises:
        Diverged: pictures are not finite, of one value throughout, or far outside [0, 1].
    """
    pictures = []
    for part in blocks(len(draft), chunk):
        pixels = draft.prior.decode(rows(draft.latents, part)).float()
        if names is not None:
            check(pixels, draft.labels[part], names)
        pictures.append(pixels.clamp(0, 1).mul(255).round().to(torch.uint8).cpu())
    return torch.cat(pictures)


def check(pixels: Tensor, labels: Tensor, names: Callable[[Tensor], str]) -> None:
    """Refuse what no picture looks like: steering that went wrong shows here at the latest."""
    flat = pixels.flatten(1)
    beyond = (flat - flat.clamp(0, 1)).abs().mean(1)
    for bad, what in (
        (~torch.isfinite(flat).all(1), "hold numbers that are not finite"),
        (flat.amax(1) - flat.amin(1) < CONSTANT, "are of one value throughout"),
        (beyond > SATURATED, f"are saturated: on average {SATURATED} outside [0, 1]"),
    ):
        if bad.any():
            raise Diverged(
                f"{int(bad.sum())} of {len(flat)} pictures of class {names(labels[bad.cpu()])} {what}; "
                "lower the weights or learning rates of the steering before"
            )
