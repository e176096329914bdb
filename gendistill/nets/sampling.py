"""Where the networks of a matching objective come from: drawn anew, from the way of a training, or given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.context import Context
from gendistill.nets import ensemble, trained
from gendistill.nets.base import Classifier, Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained, shape_of
from gendistill.training import Training
from gendistill.types import Pixels, UserError
from gendistill.work import Work


@runtime_checkable
class Network(Protocol):
    """What a matching objective asks of a network; `Classifier` is one.

    mean, std  of each channel, (1, c, 1, 1) in pixel units
    """

    mean: Tensor
    std: Tensor

    def features(self, pixels: Pixels) -> Tensor:
        """What the head sees, (n, d)."""
        ...

    def layers(self, pixels: Pixels) -> list[Tensor]:
        """What each block shows, (n, channels, h, w), first to last, and then the features, (n, d)."""
        ...

    def modules(self) -> Iterable[nn.Module]:
        """All layers."""
        ...


class Networks(ABC):
    """Settings of where networks come from."""

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of them; ``licence`` is that of the real pictures. Random networks saw nothing."""
        return []

    def work(self, context: Context) -> Iterable[Work]:
        """What the first draw will cost: training."""
        return ()

    @abstractmethod
    def draw(self, context: Context, *key: seeds.Part) -> Sequence[Network]:
        """The frozen networks of ``key``, at least one: they follow from it alone. Costs little beside a forward pass."""


@dataclass(frozen=True)
class Fresh(Networks):
    """A network with new random weights at every draw; batch normalisation takes the statistics of its batch.

    net  the architecture
    """

    net: Net = ConvNet()

    def draw(self, context: Context, *key: seeds.Part) -> Sequence[Network]:
        """One network."""
        return [build(self.net, shape_of(context), seeds.number(*key, "net"), context.device).requires_grad_(False)]


@dataclass(frozen=True)
class Interpolated(Networks):
    """A network between its initial and its trained weights, at a random point of the straight line (NCFM).

    NCFM (Wang et al., CVPR 2025), https://arxiv.org/abs/2502.20653. Batch normalisation takes the statistics of its batch:
    those that were counted in training belong to the end of the line only.

    net       the architecture
    training  how each is trained on the real pictures, once
    count     networks with lines of their own; they differ by their seeds 0, 1 ...
    """

    net: Net = ConvNet()
    training: Training = Trained().training
    count: int = 20

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"Interpolated needs count >= 1, got {self.count}")

    @property
    def references(self) -> tuple[Trained, ...]:
        """The networks at the end of each line; equal settings elsewhere name the same ones."""
        return tuple(Trained(self.net, self.training, seed) for seed in range(self.count))

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The trained networks."""
        return ensemble.origins(self.references, licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of all of them."""
        for reference in self.references:
            yield from trained.work(reference, context)

    @torch.no_grad()
    def draw(self, context: Context, *key: seeds.Part) -> Sequence[Network]:
        """One network, at one point of its line. Trained weights stay in memory, initial ones are drawn again."""
        stream = seeds.stream(*key, "net")
        reference = self.references[int(torch.randint(self.count, (1,), generator=stream))]
        share = float(torch.rand(1, generator=stream))
        net, (end,) = trained.initial(reference, context), ensemble.load([reference], context)
        for weight, goal in zip(net.parameters(), end.parameters(), strict=True):
            weight.lerp_(goal, share)
        return [net.requires_grad_(False)]


@dataclass(frozen=True)
class Fixed(Networks):
    """Networks that stay as they are: trained on the real pictures, or loaded elsewhere.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    all       every draw gives all of them, and their losses are averaged; else one by chance
    """

    teachers: tuple[Any, ...] = (Trained(),)
    all: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", ensemble.members("Fixed", self.teachers))

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return ensemble.origins(self.teachers, licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of those that are trained in place."""
        for reference in self.teachers:
            yield from trained.work(reference, context)

    def draw(self, context: Context, *key: seeds.Part) -> Sequence[Network]:
        """One of the teachers, or all."""
        chosen = self.teachers
        if not self.all:
            number = int(torch.randint(len(chosen), (1,), generator=seeds.stream(*key, "net")))
            chosen = chosen[number : number + 1]
        return [net if isinstance(net, Classifier) else _Given(net, context) for net in ensemble.load(chosen, context)]


class _Given(nn.Module):
    """A module of unknown build as a network: what `ensemble.features` finds are its features, of blocks nothing is known."""

    def __init__(self, net: nn.Module, context: Context) -> None:
        super().__init__()
        self.net = net
        self.mean, self.std = (
            torch.tensor(values, device=context.device).view(1, -1, 1, 1) for values in context.statistics
        )

    def forward(self, pixels: Pixels) -> Tensor:
        """Its logits, (n, k)."""
        return self.net(pixels)

    def features(self, pixels: Pixels) -> Tensor:
        """Its ``features`` where it has such, else its logits, (n, d)."""
        return ensemble.features([self.net], pixels)

    def layers(self, pixels: Pixels) -> list[Tensor]:
        """Raise `UserError`."""
        raise UserError(f"the blocks of a given {type(self.net).__name__} are unknown: use ConvNet(...) or ResNet(...)")
