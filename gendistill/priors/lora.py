"""LoRA (Hu et al., ICLR 2022), https://arxiv.org/abs/2106.09685, by peft.

W <- W + (alpha / rank) B A,   A (rank, in) drawn at random, B (out, rank) zero at first
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from gendistill import seeds
from gendistill.priors.parameters import Parameters
from gendistill.types import UserError

WRAPPED = "base_model.model."
"""What peft puts before the names of a network's own parts."""


@dataclass(frozen=True)
class LoRA(Parameters):
    """Low-rank changes of the linear layers of every attention, and of the MLPs where diffusers' own scripts change these too.

    rank    of a change
    alpha   a change is scaled by alpha / rank
    beside  how the names of further layers end that are changed, linear or convolutional: "conv1", "conv2", "ff.net.2" ... A small
            U-Net draws a new class by its convolutions, not by its attention alone
    """

    rank: int = 16
    alpha: int = 16
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise UserError(f"LoRA needs rank >= 1 and alpha > 0, got rank={self.rank}, alpha={self.alpha}")

    def attach(self, denoiser: nn.Module, seed: int, layers: Sequence[str] = ()) -> nn.Module:
        """Put peft's layers in the place of the linear ones.

        Raises:
            UserError: the denoiser has no such layers.
        """
        lacking = [one for one in self.beside if not any(ends(name, one) for name, _ in denoiser.named_modules())]
        if lacking:
            raise UserError(
                f"{type(denoiser).__name__} has no layers called {', '.join(lacking)}: leave them out of beside="
            )
        named = rf"(.*\.)?({'|'.join(map(re.escape, (*layers, *self.beside)))})"
        if not layers or not any(re.fullmatch(named, name) for name, _ in denoiser.named_modules()):
            raise UserError(
                f"LoRA changes the linear layers of attention, called {', '.join(layers) or '...'}, and "
                f"{type(denoiser).__name__} has none: use Everything()"
            )
        import peft  # takes seconds, which listing the parts must not

        config = peft.LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=named)
        with seeds.as_global(seeds.number(seed, "lora")):
            return peft.get_peft_model(cast(Any, denoiser), config)

    def merge(self, denoiser: nn.Module) -> nn.Module:
        """Add the changes to the weights."""
        return cast(Any, denoiser).merge_and_unload()

    def keep(self, denoiser: nn.Module, folder: Path, prior: Any) -> None:
        """Write the changes alone, rank and alpha with them: as the stock pipeline loads them, else as a folder of peft."""
        model = cast(Any, denoiser)
        if not loads_lora(prior):
            model.save_pretrained(str(folder))
            return
        import peft

        state = {key.removeprefix(WRAPPED): value for key, value in peft.get_peft_model_state_dict(model).items()}
        changed = sorted({key.partition(".lora_")[0] for key in state})
        # Without its config, a reader takes alpha for rank. The layers are named one by one: every version understands that.
        config = {**model.peft_config["default"].to_dict(), "target_modules": changed, "base_model_name_or_path": None}
        given = {f"{prior.network}_lora_layers": state, f"{prior.network}_lora_adapter_metadata": config}
        prior.pipeline.save_lora_weights(str(folder), **given)


def ends(name: str, wanted: str) -> bool:
    """Whether the name of a layer is, or ends by a whole part with, the wanted one."""
    return name == wanted or name.endswith(f".{wanted}")


def loads_lora(prior: Any) -> bool:
    """Whether the stock pipeline of a loaded prior has ``load_lora_weights``; those of DiT and PixArt have not."""
    return hasattr(prior.pipeline, "load_lora_weights")
