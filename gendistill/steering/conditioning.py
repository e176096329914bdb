"""What a prior is asked for while it samples: its class, or the class mixed with something else at some levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.capabilities import Embeds
from gendistill.types import Conditions, Labels, Level, UserError


class Conditioning(ABC):
    """Settings of a change of embedded conditions by level."""

    needs: tuple[type, ...] = (Embeds,)

    @abstractmethod
    def draw(
        self, embed: Callable[[Labels], Conditions], labels: Labels, classes: int, generators: Sequence[torch.Generator]
    ) -> Sequence[Mapping[str, Tensor]]:
        """What is drawn once per picture. ``embed(labels)`` gives embedded conditions of classes."""

    @abstractmethod
    def __call__(self, asked: Conditions, drawn: Sequence[Mapping[str, Tensor]], level: Level) -> Conditions:
        """The conditions at a level."""


@dataclass(frozen=True)
class LabelMix(Conditioning):
    """The label's embedding mixed with another class's and with noise (DMGD, CVPR 2026; from notes, unverified).

        y~ = sqrt(s) f(y) + (1 - sqrt(s)) (other f(y*) + noise n)

    where s rises, as noise falls, from 0 at the window's end to 1 at its beginning: above the window the prior is asked for next to
    nothing, below it for the class.

    other   share of the embedding of another class, drawn per picture
    noise   share of standard normal noise of the embedding's own deviation
    window  (from, to) in training time, between which the class comes in
    """

    other: float = 0.01
    noise: float = 0.06
    window: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        low, high = self.window
        if not 0 <= low < high <= 1 or self.other < 0 or self.noise < 0:
            raise UserError(f"{self}: window must be (from, to) with 0 <= from < to <= 1, and the shares at least 0")

    def draw(
        self, embed: Callable[[Labels], Conditions], labels: Labels, classes: int, generators: Sequence[torch.Generator]
    ) -> Sequence[Mapping[str, Tensor]]:
        """The other class's embedding and the noise, whose deviation is that of the picture's own row."""
        steps = torch.cat([torch.randint(1, max(classes, 2), (1,), generator=g) for g in generators])
        other = embed((labels.cpu() + steps) % classes).values

        def noise(rows: Tensor) -> Tensor:
            pairs = zip(rows, generators, strict=True)
            return torch.stack([torch.randn(row.shape, generator=g).to(row) * row.std() for row, g in pairs])

        other = {name: rows for name, rows in other.items() if rows.is_floating_point()}
        return other, {name: noise(rows) for name, rows in other.items()}

    def __call__(self, asked: Conditions, drawn: Sequence[Mapping[str, Tensor]], level: Level) -> Conditions:
        """Mixed from the window's beginning on, as asked below it."""
        low, high = self.window
        share = (high - float(level.time)) / (high - low)
        if share >= 1:
            return asked
        keep, (other, noise) = max(share, 0.0) ** 0.5, drawn
        mixed = {
            name: keep * asked.values[name] + (1 - keep) * (self.other * other[name] + self.noise * noise[name])
            for name in other
        }
        return Conditions({**asked.values, **mixed}, asked.null)
