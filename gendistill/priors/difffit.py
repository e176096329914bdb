"""DiffFit (Xie et al., ICCV 2023), https://arxiv.org/abs/2304.06648: biases, norms, label embeddings and new scales.

    h <- h + g_a * attention(h),   h <- h + g_m * mlp(h),   g_a, g_m of one number per channel that begin at 1

Afterwards the scales are folded into the last linear layer of each branch: g (W h + b) = (g W) h + g b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.embeddings import LabelEmbedding
from torch import Tensor, nn

from gendistill.priors.parameters import Parameters
from gendistill.types import UserError

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
BRANCHES = ("attn1", "ff")
"""What a block of diffusers' DiT calls its attention and its MLP."""


class Scaled(nn.Module):
    """A branch of a block, its output scaled channel by channel."""

    def __init__(self, branch: nn.Module, last: nn.Linear) -> None:
        """``last`` is the linear layer that the output of ``branch`` comes from."""
        super().__init__()
        self.branch = branch
        self.gamma = nn.Parameter(torch.ones(last.out_features))

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the branch answers, scaled."""
        return self.gamma * self.branch(*args, **kwargs)


@dataclass(frozen=True)
class DiffFit(Parameters):
    """Biases, affine norms and label embeddings of the whole denoiser, and scales in its first blocks.

    Kinds of layers decide, not their names: in diffusers' DiT "norm1" also holds the large modulation layers.

    blocks  share of the blocks, from the first on, whose attention and MLP are scaled, in [0, 1]
    """

    blocks: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.blocks <= 1:
            raise UserError(f"blocks={self.blocks} is a share of the denoiser's blocks, 0 to 1")

    def attach(self, denoiser: nn.Module, seed: int, layers: Sequence[str] = ()) -> nn.Module:
        """Put a scale of 1 behind attention and MLP.

        Raises:
            UserError: the blocks of the denoiser are not built as a DiT's, whose attention and MLP end in a linear layer.
        """
        blocks = getattr(denoiser, "transformer_blocks", None)
        if blocks is None or not all(last_linear(getattr(block, name, None)) for block in blocks for name in BRANCHES):
            raise UserError(
                f"DiffFit scales the transformer blocks of a DiT or PixArt; {type(denoiser).__name__} has none: "
                "use Everything() or LoRA()"
            )
        denoiser.requires_grad_(False)
        for layer in denoiser.modules():
            if isinstance(layer, NORMS) or isinstance(layer, LabelEmbedding):
                layer.requires_grad_(True)
            elif isinstance(getattr(layer, "bias", None), nn.Parameter):
                cast(nn.Parameter, layer.bias).requires_grad_(True)
        for block in blocks[: round(self.blocks * len(blocks))]:
            for name in BRANCHES:
                branch = getattr(block, name)
                setattr(block, name, Scaled(branch, cast(nn.Linear, last_linear(branch))))
        return denoiser

    @torch.no_grad()
    def merge(self, denoiser: nn.Module) -> nn.Module:
        """Fold every scale into the layer before it."""
        for block in cast(nn.ModuleList, denoiser.transformer_blocks):
            for name in BRANCHES:
                scaled = getattr(block, name)
                if isinstance(scaled, Scaled):
                    last = cast(nn.Linear, last_linear(scaled.branch))
                    last.weight.mul_(scaled.gamma.unsqueeze(1))
                    if last.bias is not None:
                        last.bias.mul_(scaled.gamma)
                    setattr(block, name, scaled.branch)
        return denoiser


def last_linear(branch: nn.Module | None) -> nn.Linear | None:
    """The linear layer that the output of a branch comes from; None where it comes from another kind of layer."""
    weighty = (nn.Linear, nn.Conv2d)
    found = [layer for layer in branch.modules() if isinstance(layer, weighty)] if branch is not None else []
    return found[-1] if found and isinstance(found[-1], nn.Linear) else None
