"""Sana (Xie et al., ICLR 2025), https://arxiv.org/abs/2410.10629."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gendistill.priors.families.base import Family, Limit, Texts, tidied


class Sana(Family):
    """A linear transformer that looks at the states of a Gemma, which reads an instruction before every prompt."""

    pipelines = ("SanaPipeline",)
    length = 300
    lora_layers = ("to_q", "to_k", "to_v")

    @classmethod
    def limits(cls, tokenizers: Mapping[str, Any], length: int | None) -> list[Limit]:
        """The pipeline sets a bound for what comes after the instruction."""
        tokenizer, before = tokenizers["tokenizer"], "\n".join(instruction())
        most = length or cls.length
        assert most is not None

        def tokens(prompt: str) -> int:
            return len(tokenizer.encode(before + tidied(prompt))) - len(tokenizer.encode(before)) + 2

        return [Limit("tokenizer (Gemma)", tokens, most)]

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """The states of the prompt after the instruction, and which of them count."""
        return self._encode(prompt, device, instruction())

    def nothing(self, negative: str, device: torch.device) -> Texts:
        """The same of the negative prompt, without an instruction."""
        return self._encode(negative, device, None)

    def _encode(self, prompt: str, device: torch.device, before: list[str] | None) -> Texts:
        text, mask, _, _ = self.pipe.encode_prompt(
            [prompt],
            False,
            device=device,
            clean_caption=False,
            max_sequence_length=self.most,
            complex_human_instruction=before,
        )
        return {"text": text, "mask": mask.bool()}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the transformer says, at times on a scale of its own."""
        return network(
            x,
            encoder_hidden_states=texts["text"],
            encoder_attention_mask=texts["mask"],
            timestep=time * self.config.get("timestep_scale", 1.0),
        ).sample


def instruction() -> list[str]:
    """What the stock pipeline writes before a prompt."""
    from diffusers import SanaPipeline

    return list(inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default)
