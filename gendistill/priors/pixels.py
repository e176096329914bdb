"""Pixels as their own latents: the prior of methods that use none."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.priors.base import Prior
from gendistill.types import LATENT, Ids, Latents, RealData


@dataclass
class LoadedPixels:
    """The identity on pixels."""

    latent_shape: tuple[int, ...]
    device: torch.device
    fingerprint: str = "pixels"
    encoder: str = "pixels"

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Grey pictures with standard normal noise of a quarter of the range, one random stream per picture."""
        drawn = seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape)
        return {LATENT: (0.5 + 0.25 * drawn).to(self.device)}

    def encode(self, pixels: Tensor) -> Tensor:
        """The pixels themselves."""
        return pixels

    def decode(self, latents: Latents) -> Tensor:
        """The latents themselves."""
        return latents[LATENT]


@dataclass(frozen=True)
class Pixels(Prior):
    """No generator: pictures are shaped pixel by pixel."""

    loads = LoadedPixels

    def origin(self) -> dict[str, str]:
        """There is no generator, so it saw nothing."""
        return {"name": "none (pixels)", "licence": "none needed", "saw": "nothing"}

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPixels:
        """The identity, for pictures shaped like the real ones."""
        return LoadedPixels(data.train.shape, device)
