"""What objectives share that match a class in the features of a network, picture sets of a class and step to each other.

    loss_class = n * distance( look(A(x)), look(A(s)) )        x real pictures, s the n synthetic ones

with networks drawn anew at every step, and one siamese augmentation A for both sides (Zhao & Bilen, ICML 2021).

Where batch normalisation takes the statistics of its batch (`Fresh`, `Interpolated`), they are those of one class, since a class
follows from its own pictures alone. The code of DM (for ConvNetBN) and of DataDAM passes all classes together instead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gendistill import seeds
from gendistill.context import Context, together
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh, Network, Networks
from gendistill.objectives.base import Objective, of_class
from gendistill.training import real_reader
from gendistill.types import Loss, Losses, Pixels, Synthetic, UserError
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

        def one(index: int, synthetic: Synthetic) -> Tensor:
            pixels = of_class(synthetic.pixels, synthetic.labels, index)
            if not len(pixels):
                return pixels.sum()
            key = (context.seed, STREAM, context.place, index, synthetic.step)
            real = some_real(context, index, self.batch, seeds.stream(*key, "batch"))
            nets = self.networks.draw(context, *key)
            found = [self._compared(net, real, pixels, key, number, distance) for number, net in enumerate(nets)]
            return len(pixels) * torch.stack(found).mean(0)

        def loss(synthetic: Synthetic) -> Losses:
            return torch.stack([one(index, synthetic) for index in context.classes])

        return loss

    def _compared(
        self, net: Network, real: Tensor, pixels: Tensor, key: Key, number: int, distance: Distance
    ) -> Tensor:
        def changed(side: Pixels) -> Pixels:
            if self.augment is None:
                return side
            return self.augment(side, seeds.stream(*key, "augment"), net.mean, net.std, siamese=True)

        with torch.no_grad():
            wanted = torch.cat([self.look(net, block) for block in changed(real).split(_block(net, real))])
        seen = self._seen(net, lambda part: self.look(net, changed(part)), pixels)
        return distance(wanted, seen, (*key[:-1], number, key[-1]) if number else key)

    def _seen(self, net: Network, look: Callable[[Pixels], Tensor], pixels: Pixels) -> Tensor:
        """The look at synthetic pictures, through which gradients flow: memory holds the activations of one block of them."""
        block = together(pixels.shape)
        if len(pixels) <= block or normalises_by_batch(net) or not torch.is_grad_enabled():
            return look(pixels)
        parts = [checkpoint(look, part, use_reentrant=False) for part in pixels.split(block)]
        return torch.cat(cast(list[Tensor], parts))


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
