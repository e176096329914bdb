"""Stable Diffusion 1 and 2 (Rombach et al., CVPR 2022), https://arxiv.org/abs/2112.10752, and their latent consistency models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gendistill.priors.families.base import Config, Family, Texts


class StableDiffusion(Family):
    """A U-Net that looks at the states of one CLIP. Latent consistency models are also told a strength."""

    pipelines = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline")
    network = "unet"
    guidance = 8.5

    @classmethod
    def takes_guidance(cls, network: Config) -> bool:
        """Latent consistency models have an embedding of it beside that of the time."""
        return network.get("time_cond_proj_dim") is not None

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """The states of its last layer."""
        return {"text": self.pipe.encode_prompt([prompt], device, 1, False)[0]}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the U-Net says."""
        return network(x, time, encoder_hidden_states=texts["text"], timestep_cond=self.told(x)).sample

    def told(self, x: Tensor) -> Tensor | None:
        """The strength, less 1, as sines and cosines: the embedding is not the network's own."""
        strength = super().told(x)
        if strength is None:
            return None
        width = self.config["time_cond_proj_dim"]
        return self.pipe.get_guidance_scale_embedding(strength.cpu() - 1, embedding_dim=width, dtype=torch.float32).to(
            x
        )
