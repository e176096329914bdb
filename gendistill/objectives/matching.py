"""What objectives share that match a class in the features of a network, picture sets of a class and step to each other.

    loss_class = n * distance( look(A(x)), look(A(s)) )        x real pictures, s the n synthetic ones

with networks drawn anew at every step, and one siamese augmentation A for both sides (Zhao & Bilen, ICML 2021).

Where batch normalisation takes the statistics of its batch (`Fresh`, `Interpolated`), they are those of one class, since a class
follows from its own pictures alone. The code of DM (for ConvNetBN) and of DataDAM passes all classes together instead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gendistill import seeds
from gendistill.context import Context, together
from gendistill.draft import Loss, Synthetic
from gendistill.learning.training import real_reader
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh, Network, Networks
from gendistill.objectives.base import Looks, Objective, PartedLoss, nothing, of_class
from gendistill.types import Losses, Pixels, UserError
from gendistill.views.siamese import Siamese
from gendistill.work import Work

Key: TypeAlias = tuple[seeds.Part, ...]
Distance: TypeAlias = Callable[[Tensor, Tensor, Key], Tensor]

STREAM = "mean features"
"""One stream for all of them: objectives with equal settings look at the same pictures through the same network at a step."""
CACHED_PIXELS = 1 << 14
"""On a CPU, the real pictures pass a network in blocks of so many pixels: what its layers show then stays in the cache."""


@dataclass(frozen=True)
class FeatureMatching(Objective):
    """Some distance between the features of real and synthetic pictures of a class, times the number of synthetic ones.

    networks  what looks at the pictures, anew at every step
    batch     real pictures per class and step
    augment   the same random change to both sides, None for none
    """

    networks: Networks = Fresh(ConvNet())
    batch: int = 256
    augment: Siamese | None = Siamese()
    weight: float = 1.0
    scope = "class"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"{type(self).__name__} needs batch >= 1, got {self.batch}")

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The networks, where they are trained."""
        return self.networks.origins(licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the networks, where they are trained."""
        return self.networks.work(context)

    def look(self, net: Network, pixels: Pixels) -> Tensor:
        """What is compared, (n, d)."""
        return net.features(pixels)

    @abstractmethod
    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """One number for the looks at real (m, d) and synthetic (n, d) pictures.

        ``key`` of its random streams ends in the step, before which it numbers the networks of a step from the second on.
        """

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""
        return self.matched(context, self.distance)

    def matched(self, context: Context, distance: Distance) -> Loss:
        """The loss with this distance. A class follows from its own pictures alone, whichever classes are beside it."""
        return _Matched(self, context, distance)


class _Matched(PartedLoss):
    """Looks are those of a class by each of the networks of a step, named by both."""

    def __init__(self, settings: FeatureMatching, context: Context, distance: Distance) -> None:
        self.settings, self.context, self.distance = settings, context, distance
        self._held: tuple[tuple[int, int], Sequence[Network]] | None = None

    def __call__(self, synthetic: Synthetic) -> Losses:
        """One number per class of the context, in its order: 0 for those without pictures."""
        return torch.stack([self._of_class(index, synthetic) for index in self.context.classes])

    def parts(self, synthetic: Synthetic) -> bool:
        """Not where batch normalisation takes the statistics of all pictures of a class."""
        self._held = None  # networks that go on learning may be elsewhere by now
        present = [index for index in synthetic.labels.unique().tolist() if index in self.context.classes]
        return not any(normalises_by_batch(net) for index in present for net in self._draw(index, synthetic.step))

    def look(self, synthetic: Synthetic) -> Looks:
        """What the networks show, (pictures, d), by class and number of the network."""
        looks = {}
        for index in self.context.classes:
            pixels = of_class(synthetic.pixels, synthetic.labels, index)
            if len(pixels):
                key = self._key(index, synthetic.step)
                for number, net in enumerate(self._nets(index, synthetic.step)):
                    looks[index, number] = self.settings.look(net, self._changed(net, pixels, key))
        return looks

    def judge(self, looks: Looks, synthetic: Synthetic) -> Losses:
        """As for pictures that are looked at together."""

        def one(index: int) -> Tensor:
            if (index, 0) not in looks:
                return nothing(synthetic)
            nets = self._nets(index, synthetic.step)
            return self._judged(index, nets, [looks[index, number] for number in range(len(nets))], synthetic.step)

        return torch.stack([one(index) for index in self.context.classes])

    def _of_class(self, index: int, synthetic: Synthetic) -> Tensor:
        pixels = of_class(synthetic.pixels, synthetic.labels, index)
        if not len(pixels):
            return pixels.sum()
        nets, key = self._draw(index, synthetic.step), self._key(index, synthetic.step)
        return self._judged(index, nets, [self._in_blocks(net, pixels, key) for net in nets], synthetic.step)

    def _judged(self, index: int, nets: Sequence[Network], seen: Sequence[Tensor], step: int) -> Tensor:
        """The mean over networks of how far their looks at the pictures are from those at real ones, times the pictures."""
        key = self._key(index, step)
        real = some_real(self.context, index, self.settings.batch, seeds.stream(*key, "batch"))
        found = []
        for number, (net, mine) in enumerate(zip(nets, seen, strict=True)):
            with torch.no_grad():
                blocks = self._changed(net, real, key).split(_block(net, real))
                wanted = torch.cat([self.settings.look(net, block) for block in blocks])
            found.append(self.distance(wanted, mine, (*key[:-1], number, key[-1]) if number else key))
        return len(seen[0]) * torch.stack(found).mean(0)

    def _in_blocks(self, net: Network, pixels: Pixels, key: Key) -> Tensor:
        """The look at all pictures, through which gradients flow: memory holds the activations of one block of them."""

        def look(part: Pixels) -> Tensor:
            return self.settings.look(net, self._changed(net, part, key))

        block = together(pixels.shape)
        if len(pixels) <= block or normalises_by_batch(net) or not torch.is_grad_enabled():
            return look(pixels)
        parts = [checkpoint(look, part, use_reentrant=False) for part in pixels.split(block)]
        return torch.cat(cast(list[Tensor], parts))

    def _key(self, index: int, step: int) -> Key:
        return (self.context.seed, STREAM, self.context.place, index, step)

    def _draw(self, index: int, step: int) -> Sequence[Network]:
        return self.settings.networks.draw(self.context, *self._key(index, step))

    def _nets(self, index: int, step: int) -> Sequence[Network]:
        """The networks of a class at a step, held from part to part."""
        if self._held is None or self._held[0] != (index, step):
            self._held = (index, step), self._draw(index, step)
        return self._held[1]

    def _changed(self, net: Network, pixels: Pixels, key: Key) -> Pixels:
        """The same random change to either side, and to every part of one."""
        if self.settings.augment is None:
            return pixels
        return self.settings.augment(pixels, seeds.stream(*key, "augment"), net.mean, net.std, siamese=True)


def some_real(context: Context, index: int, count: int, stream: torch.Generator) -> Pixels:
    """Real pictures of a class, drawn without putting back, on the context's device; all of them where they are fewer."""
    positions = context.real.train.where(index)
    picked = torch.randperm(len(positions), generator=stream)[:count]
    if len(context.classes) == 1:
        return context.stored(index)[picked].to(context.device).float() / 255
    # Every step looks at every class, and `stored` would read each of them whole again and again.
    return real_reader(context)(positions[picked])


def mean_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared distance of the means of two sets of points, (m, d) and (n, d)."""
    return (real.mean(0) - synthetic.mean(0)).square().sum()


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances of points (m, d) from points (n, d): (m, n), differentiable where two coincide."""
    origin = b.detach().mean(0)  # near the points, so that little is lost in the difference below
    a, b = a - origin, b - origin
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp_min(0)


def normalises_by_batch(net: Network) -> bool:
    """Whether the network takes statistics of its batch, so that pictures must pass it together."""
    return any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in net.modules())


def _block(net: Network, real: Tensor) -> int:
    """Real pictures that pass the network together. The features stay the same."""
    if normalises_by_batch(net):
        return len(real)
    if real.device.type != "cpu":
        return together(real.shape)
    # Of a single picture some kernels sum in another order.
    return max(2, CACHED_PIXELS // (real.shape[-1] * real.shape[-2]))
