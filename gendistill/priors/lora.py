"""LoRA (Hu et al., ICLR 2022), https://arxiv.org/abs/2106.09685, by peft.

W <- W + (alpha / rank) B A,   A (rank, in) drawn at random, B (out, rank) zero at first
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from gendistill import seeds
from gendistill.priors.parameters import Parameters
from gendistill.types import UserError

LAYERS = r"transformer_blocks\.\d+\.(attn1\.to_(q|k|v|out\.0)|ff\.net\.(0\.proj|2))"
"""What diffusers' DiT calls the linear layers of attention and MLP."""
ADAPTER = "adapter"
"""The PEFT folder beside the merged weights."""


@dataclass(frozen=True)
class LoRA(Parameters):
    """Low-rank changes of the linear layers of every attention and MLP.

    rank   of a change
    alpha  a change is scaled by alpha / rank
    """

    rank: int = 16
    alpha: int = 16

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise UserError(f"LoRA needs rank >= 1 and alpha > 0, got rank={self.rank}, alpha={self.alpha}")

    def attach(self, denoiser: nn.Module, seed: int) -> nn.Module:
        """Put peft's layers in the place of the linear ones.

        Raises:
            UserError: the denoiser is no DiT of diffusers.
        """
        if not any(re.fullmatch(LAYERS, name) for name, _ in denoiser.named_modules()):
            raise UserError(
                f"LoRA changes attention and MLP of a DiT; {type(denoiser).__name__} has none: use Everything()"
            )
        import peft  # takes seconds, which listing the parts must not

        config = peft.LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=LAYERS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.number(seed, "lora"))
            return peft.get_peft_model(cast(Any, denoiser), config)

    def merge(self, denoiser: nn.Module, folder: Path) -> nn.Module:
        """Add the changes to the weights; they are kept as a PEFT folder too, with rank and alpha in its config."""
        model = cast(Any, denoiser)
        model.save_pretrained(str(folder / ADAPTER))
        return model.merge_and_unload()
