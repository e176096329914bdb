"""PixArt-alpha (Chen et al., ICLR 2024), https://arxiv.org/abs/2310.00426, and PixArt-Sigma (Chen et al., ECCV 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gendistill.priors.families.base import Config, Family, Limit, Texts, long_limit, tidied


class PixArt(Family):
    """A transformer that looks at the states of a T5; its first checkpoint of 1024 px is also told the size of the picture."""

    pipelines = ("PixArtAlphaPipeline",)
    length = 120
    lora_layers = (*Family.lora_layers, "ff.net.0.proj", "ff.net.2")

    @classmethod
    def limits(cls, tokenizers: Mapping[str, Any], length: int | None) -> list[Limit]:
        """The T5 is given a bound."""
        return [long_limit("tokenizer (T5)", tokenizers["tokenizer"], length or cls.length, tidied)]

    def encode(self, prompt: str, device: torch.device) -> Texts:
        """The states, and which of them count."""
        text, mask, _, _ = self.pipe.encode_prompt(
            [prompt], False, device=device, clean_caption=False, max_sequence_length=self.most
        )
        return {"text": text, "mask": mask.bool()}

    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the transformer says, a learned variance below it."""
        added: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if told_of_size(self.config):
            added["resolution"] = torch.full((len(x), 2), float(self.side), dtype=x.dtype, device=x.device)
            added["aspect_ratio"] = torch.ones(len(x), 1, dtype=x.dtype, device=x.device)
        return network(
            x,
            encoder_hidden_states=texts["text"],
            encoder_attention_mask=texts["mask"],
            timestep=time,
            added_cond_kwargs=added,
        ).sample


class PixArtSigma(PixArt):
    """The same, with longer prompts."""

    pipelines = ("PixArtSigmaPipeline",)
    length = 300


def told_of_size(network: Config) -> bool:
    """Whether the network has embeddings of the size: as its config says, or where it draws 1024 px."""
    said = network.get("use_additional_conditions")
    return network["sample_size"] == 128 if said is None else said
