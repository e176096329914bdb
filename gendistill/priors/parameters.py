"""Which weights of a denoiser fine-tuning may change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn


class Parameters(ABC):
    """Settings of a choice of weights, with what is added to a denoiser so that they can be trained."""

    @abstractmethod
    def attach(self, denoiser: nn.Module, seed: int, layers: Sequence[str] = ()) -> nn.Module:
        """The denoiser, made ready in place: what is to be trained requires a gradient, all else does not.

        What is added starts without effect; where it starts at random, its weights follow from ``seed``. ``layers`` are the
        prior's ``lora_layers``: how the names of the linear layers end that low-rank changes are for.
        """

    def merge(self, denoiser: nn.Module) -> nn.Module:
        """The denoiser as it was built, with what was added folded into its weights."""
        return denoiser

    def keep(self, denoiser: nn.Module, folder: Path, prior: Any) -> None:
        """Write into ``folder`` what was added to the denoiser of ``prior``, where it is worth keeping apart. Before `merge`."""
        return None


@dataclass(frozen=True)
class Everything(Parameters):
    """Every weight of the denoiser; the autoencoder is never tuned. A tenth of the learning rate of the others is usual."""

    def attach(self, denoiser: nn.Module, seed: int, layers: Sequence[str] = ()) -> nn.Module:
        """Nothing is added."""
        return denoiser.requires_grad_(True)
