"""FLUX.1 (Black Forest Labs, 2024), https://github.com/black-forest-labs/flux: dev, told a guidance, and schnell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gendistill.priors.families.base import Config, Family, Limit, Texts, clip_limit, long_limit, shift_of

NATIVE = 128
"""Side of the latents of a picture as its checkpoints draw them, which their configs do not say."""


class Flux(Family):
    """A transformer over the states of a T5 and patches of 2 x 2 latents in one sequence, and the pooled state of a CLIP."""

    pipelines = ("FluxPipeline",)
    length = 512
    guidance = 3.5
    lora_layers = (
        *(*Family.lora_layers, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )

    @classmethod
    def side_of(cls, network: Config, factor: int) -> int:
        """That of the stock pipeline."""
        return NATIVE * factor

    @classmethod
    def patch(cls, network: Config) -> int:
        """Two latents, packed into one token by the pipeline."""
        return 2

    @classmethod
    def channels(cls, network: Config) -> int:
        """A quarter of a token."""
        return network["in_channels"] // 4

    @classmethod
    def limits(cls, tokenizers: Mapping[str, Any], length: int | None) -> list[Limit]:
        """The CLIP has its bound, the T5 is given one."""
        clip, long = tokenizers["tokenizer"], tokenizers["tokenizer_2"]
        return [clip_limit("tokenizer", clip), long_limit("tokenizer_2 (T5)", long, length or cls.length)]

    @classmethod
    def timing(cls, scheduler: Config, network: Config, latents: int) -> Callable[[int], Mapping[str, Any]] | None:
        """Levels that are even before the shift, which follows from the size (dev) or is none (schnell)."""
        shift = shift_of(scheduler, (latents // 2) ** 2, most=1.15)
        return lambda steps: {"sigmas": np.linspace(1.0, 1 / steps, steps), **shift}

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """The states of the T5 and the pooled state of the CLIP."""
        text, pooled, _ = self.pipe.encode_prompt(
            prompt=[prompt], prompt_2=None, device=device, max_sequence_length=self.most
        )
        return {"text": text, "pooled": pooled}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the transformer says, of latents as a sequence, at times in [0, 1]."""
        side, text = x.shape[-1], texts["text"]
        places = self.pipe._prepare_latent_image_ids(len(x), side // 2, side // 2, x.device, x.dtype)
        answer = network(
            hidden_states=self.packed(x),
            timestep=time / 1000,
            guidance=self.told(x),
            pooled_projections=texts["pooled"],
            encoder_hidden_states=text,
            txt_ids=text.new_zeros(text.shape[1], 3),
            img_ids=places,
        ).sample
        return self.unpacked(answer, side)

    def packed(self, x: Tensor) -> Tensor:
        """Patches of 2 x 2 latents in a row, (n, patches, 4 c)."""
        return self.pipe._pack_latents(x, *x.shape)

    def unpacked(self, x: Tensor, latents: int) -> Tensor:
        """The latents of such a row."""
        return self.pipe._unpack_latents(x, latents, latents, 1)
