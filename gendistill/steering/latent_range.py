"""What latents of pictures look like, of two means: where steering leaves that, it went wrong."""

from __future__ import annotations

from torch import Tensor

LARGEST = 5.0
"""Root mean square beyond which latents are of no picture: those of pictures are near 1."""
FLAT = 0.01
"""Deviation between the places of a picture below which it shows nothing."""


def size_and_spread(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean square, and deviation between places, of each picture, (n,); the first is no number where one of them is none.

    Places are what follows the first two axes; a single one has no deviation.
    """
    places = latents.flatten(2) if latents.dim() > 2 else latents.flatten(1).unsqueeze(1)
    power, mean = places.square().mean(2), places.mean(2)
    return power.mean(1).sqrt(), (power - mean.square()).mean(1).clamp_min(0).sqrt()
