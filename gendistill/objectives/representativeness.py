"""Every real picture of the class has a synthetic one near it: the first half of Minimax.

Minimax Diffusion (Gu et al., CVPR 2024), https://arxiv.org/abs/2311.15529.

    loss_class = n (1 - min_{pictures i, m in memory} cos(clean_i, m))        (times the n pictures of the class)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill import seeds
from gendistill.capabilities import Encodes
from gendistill.context import Context, encoding
from gendistill.draft import Synthetic
from gendistill.objectives.base import MemoryLoss, Objective, of_class
from gendistill.types import Labels, Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Representativeness(Objective):
    """One minus the smallest cosine between clean latents of a class and real ones, times the pictures.

    In fine-tuning the real ones are the newest that the tuning saw of the class, and a class it did not see yet counts 0.
    Elsewhere they are real latents of the class drawn by seed, the same at every step.

    memory  real latents per class
    """

    memory: int = 64
    weight: float = 0.002
    needs = (Encodes,)
    scope = "class"

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise UserError(f"Representativeness needs memory >= 1, got {self.memory}")

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding of the real pictures."""
        return encoding(context)

    def bind(self, context: Context) -> MemoryLoss:
        """One number per class of the context, in its order."""
        return _Covers(self.memory, context)


class Newest:
    """Directions of the newest latents of every class, first in, first out. ``began``: anything was ever told, be it nothing."""

    def __init__(self, size: int, device: torch.device) -> None:
        """``size`` latents per class, kept on ``device``."""
        self.size, self.device, self.began = size, device, False
        self._held: dict[int, Tensor] = {}

    def add(self, latents: Tensor, labels: Labels) -> None:
        """Take in latents, the newest last."""
        self.began, told = True, directions(latents.detach()).to(self.device)
        for index in labels.unique().tolist():
            more = of_class(told, labels, index)
            self._held[index] = torch.cat([*self.of(index), more])[-self.size :].clone()

    def of(self, index: int) -> tuple[Tensor, ...]:
        """Those of a class, oldest first, (at most ``size``, d); empty where it was not told of."""
        return (self._held[index],) if index in self._held else ()

    def state_dict(self) -> dict[str, Tensor]:
        """The directions by class."""
        return {str(index): latents for index, latents in self._held.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Hold these instead: nothing, too, may be what a tuning has told so far."""
        self._held = {int(index): latents.to(self.device) for index, latents in state.items()}
        self.began = self.began or bool(state)


def directions(latents: Tensor) -> Tensor:
    """Latents at length 1, (n, d): their products are cosines."""
    return F.normalize(latents.flatten(1), dim=1)


class _Covers(MemoryLoss):
    def __init__(self, size: int, context: Context) -> None:
        self.size, self.context, self.seen = size, context, Newest(size, context.device)

    def __call__(self, synthetic: Synthetic) -> Losses:
        unit, present = directions(synthetic.clean), set(synthetic.labels.tolist())
        nothing = unit[:0].sum()

        def one(index: int) -> Tensor:
            return self._one(index, of_class(unit, synthetic.labels, index)) if index in present else nothing

        return torch.stack([one(index) for index in self.context.classes])

    def _one(self, index: int, unit: Tensor) -> Tensor:
        real = self.seen.of(index) if self.seen.began else (self._drawn(index),)
        return len(unit) * (1 - (unit @ real[0].T).amin()) if real else unit[:0].sum()

    def _drawn(self, index: int) -> Tensor:
        def draw() -> Tensor:
            latents = self.context.latents(index)
            stream = seeds.stream(self.context.seed, "representativeness", self.context.place, index)
            picked = torch.randperm(len(latents), generator=stream)[: self.size]
            return directions(latents[picked].to(self.context.device))

        return self.context.once(("representativeness", self.size, self.context.place, index), draw)

    def remember(self, clean: Tensor, labels: Labels, real: Tensor) -> None:
        self.seen.add(real, labels)

    def state_dict(self) -> dict[str, Tensor]:
        return self.seen.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.seen.load_state_dict(state)
