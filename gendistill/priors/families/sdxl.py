"""SDXL (Podell et al., ICLR 2024), https://arxiv.org/abs/2307.01952, and SDXL-Turbo (Sauer et al., ECCV 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gendistill.priors.families.base import Texts
from gendistill.priors.families.unet import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    """A U-Net that looks at the states of two CLIPs, the pooled state of the second, and the size of the picture."""

    pipelines = ("StableDiffusionXLPipeline",)
    guidance = 5.0

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """The states of both next to each other, and the pooled one."""
        text, _, pooled, _ = self.pipe.encode_prompt(
            prompt=[prompt], device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"text": text, "pooled": pooled}

    def nothing(self, negative: str, device: torch.device) -> Texts:
        """Zeros where there is no negative prompt and the checkpoint says so (SDXL does), else its states."""
        found = self.encode(negative, device)
        if negative or not self.pipe.config.force_zeros_for_empty_prompt:
            return found
        return {name: torch.zeros_like(value) for name, value in found.items()}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the U-Net says of pictures of this size, seen whole."""
        size, pooled = (self.side, self.side), texts["pooled"]
        ids = torch.tensor([*size, 0, 0, *size], dtype=torch.float32, device=x.device).expand(len(x), -1)
        return network(
            x,
            time,
            encoder_hidden_states=texts["text"],
            timestep_cond=self.told(x),
            added_cond_kwargs={"text_embeds": pooled, "time_ids": ids},
        ).sample
