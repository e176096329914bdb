"""Stable Diffusion 3 and 3.5 (Esser et al., ICML 2024), https://arxiv.org/abs/2403.03206."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gendistill.priors.families.base import Config, Family, Limit, Texts, clip_limit, long_limit, shift_of


class StableDiffusion3(Family):
    """A transformer over the states of two CLIPs and a T5 (which may be left out), and the CLIPs' pooled states."""

    pipelines = ("StableDiffusion3Pipeline",)
    length = 256
    lora_layers = (*Family.lora_layers, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")

    @classmethod
    def largest(cls, network: Config, factor: int) -> int | None:
        """It has as many positions as it was trained with."""
        return network["pos_embed_max_size"] * network["patch_size"] * factor

    @classmethod
    def limits(cls, tokenizers: Mapping[str, Any], length: int | None) -> list[Limit]:
        """The CLIPs have their bound, the T5 is given one."""
        found = [clip_limit(name, tokenizers[name]) for name in ("tokenizer", "tokenizer_2") if name in tokenizers]
        long = tokenizers.get("tokenizer_3")
        return found if long is None else [*found, long_limit("tokenizer_3 (T5)", long, length or cls.length)]

    @classmethod
    def timing(cls, scheduler: Config, network: Config, latents: int) -> Callable[[int], Mapping[str, Any]] | None:
        """The shift, where it follows from the size."""
        told = shift_of(scheduler, (latents // network["patch_size"]) ** 2, most=1.16)
        return lambda steps: told

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """All states one after the other, and the pooled ones."""
        text, _, pooled, _ = self.pipe.encode_prompt(
            prompt=[prompt],
            prompt_2=None,
            prompt_3=None,
            device=device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.most,
        )
        return {"text": text, "pooled": pooled}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the transformer says."""
        return network(
            hidden_states=x, timestep=time, encoder_hidden_states=texts["text"], pooled_projections=texts["pooled"]
        ).sample
