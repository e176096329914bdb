"""Which weights of a denoiser fine-tuning may change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from torch import nn


class Parameters(ABC):
    """Settings of a choice of weights, with what is added to a denoiser so that they can be trained."""

    @abstractmethod
    def attach(self, denoiser: nn.Module, seed: int) -> nn.Module:
        """The denoiser, made ready in place: what is to be trained requires a gradient, all else does not.

        What is added starts without effect; where it starts at random, its weights follow from ``seed``.
        """

    def merge(self, denoiser: nn.Module, folder: Path) -> nn.Module:
        """The denoiser as it was built, with what was added folded into its weights.

        What is worth keeping apart from them is written into ``folder``.
        """
        return denoiser


@dataclass(frozen=True)
class Everything(Parameters):
    """Every weight of the denoiser; the autoencoder is never tuned. A tenth of the learning rate of the others is usual."""

    def attach(self, denoiser: nn.Module, seed: int) -> nn.Module:
        """Nothing is added."""
        return denoiser.requires_grad_(True)
