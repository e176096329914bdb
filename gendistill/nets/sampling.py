"""Where the networks of a matching objective come from: drawn anew, from the way of a training, in its first steps, or given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill import seeds
from gendistill.context import Context
from gendistill.learning.training import Training, real_reader
from gendistill.nets import ensemble, trained
from gendistill.nets.base import Classifier, Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.teachers import Teachers
from gendistill.nets.trained import Trained, shape_of
from gendistill.types import Pixels, UserError
from gendistill.views.siamese import Siamese
from gendistill.work import Work


@runtime_checkable
class Network(Protocol):
    """What a matching objective asks of a network; `Classifier` is one.

    mean, std  of each channel, (1, c, 1, 1) in pixel units
    """

    if TYPE_CHECKING:  # not asked of an object as it runs: Python 3.12 does not see a module's buffers there
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

    def check(self) -> None:
        """Raise `UserError` if one of others cannot be had. Loads no weights."""
        return None

    def identity(self, context: Context) -> str:
        """What they follow from, beside the real pictures and the key: for the keys of what is kept."""
        return repr(self)

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
class Fixed(Teachers, Networks):
    """Networks that stay as they are: trained on the real pictures, or loaded elsewhere.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    all       every draw gives all of them, and their losses are averaged; else one by chance
    """

    teachers: tuple[Any, ...] = (Trained(),)
    all: bool = False

    def check(self) -> None:
        """Raise `UserError` if a teacher cannot be had."""
        ensemble.check(self.teachers)

    def identity(self, context: Context) -> str:
        """Those of the teachers."""
        return repr((self.all, [one.identity(context) for one in self.teachers]))

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


@dataclass(frozen=True)
class Warming(Networks):
    """A network that goes on learning the real pictures before every look, until another takes its place (DiM).

    The last part of a key is the step. One network serves all keys of a step, and follows from the step and the context's place
    alone: where it was left at another step, it is trained again from its beginning. Batch normalisation answers by the statistics
    counted so far, since pictures of one class would otherwise be normalised among themselves.

    nets    architectures, of which each network has one by chance
    steps   of SGD that it takes before each look
    every   steps of what looks until another network begins
    batch   real pictures per step of SGD
    lr, momentum, weight_decay  of SGD
    augment what happens to every batch, None for nothing
    """

    nets: tuple[Net, ...] = (ConvNet(),)
    steps: int = 16
    every: int = 100
    batch: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Siamese | None = Siamese()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nets", tuple(self.nets))
        if not self.nets or min(self.steps, self.every, self.batch) < 1 or self.lr <= 0:
            raise UserError(
                f"Warming needs at least one of nets, steps, every and batch >= 1 and lr > 0, got {len(self.nets)}, {self.steps}, "
                f"{self.every}, {self.batch} and {self.lr}"
            )

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The networks learn from the real pictures, if only a little."""
        names = " or ".join(dict.fromkeys(str(net) for net in self.nets))
        taught = f"{names}, {self.steps} steps before each look, trained here"
        return [{"name": taught, "licence": licence, "saw": "the training pictures"}]

    def draw(self, context: Context, *key: seeds.Part) -> Sequence[Network]:
        """The network of the step."""
        number, place = divmod(int(key[-1]), self.every)
        return [context.once(("warming", self, context.place), lambda: _Learner(self, context)).at(number, place + 1)]


class _Learner:
    """The network of a `Warming` as it goes on: which one it is, and how many looks it was made ready for."""

    def __init__(self, settings: Warming, context: Context) -> None:
        self.settings, self.context, self.number, self.ready = settings, context, -1, 0
        self.read, self.labels = real_reader(context), context.real.train.labels

    def at(self, number: int, looks: int) -> Classifier:
        """Network ``number``, trained for so many looks; frozen."""
        key = (self.context.seed, "warming", self.context.place, number)
        if number != self.number or looks < self.ready:
            self.number, self.ready = number, 0
            picked = int(torch.randint(len(self.settings.nets), (1,), generator=seeds.stream(*key, "net")))
            seed = seeds.number(*key, "weights")
            self.net = build(self.settings.nets[picked], shape_of(self.context), seed, self.context.device)
            rates = {name: getattr(self.settings, name) for name in ("lr", "momentum", "weight_decay")}
            self.optimizer = torch.optim.SGD(self.net.parameters(), **rates)
        while self.ready < looks:
            self._learn(seeds.stream(*key, self.ready))
            self.ready += 1
        return self.net.eval().requires_grad_(False)

    @torch.enable_grad()
    def _learn(self, stream: torch.Generator) -> None:
        settings, net = self.settings, self.net.train().requires_grad_(True)
        shuffled = torch.randperm(len(self.labels), generator=stream)
        shuffled = shuffled.repeat(-(-settings.steps * settings.batch // len(shuffled)))  # where there are so few
        for batch in shuffled[: settings.steps * settings.batch].split(settings.batch):
            pixels = self.read(batch)
            if settings.augment is not None:
                pixels = settings.augment(pixels, stream, net.mean, net.std)
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(pixels), self.labels[batch].to(pixels.device)).backward()
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


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
