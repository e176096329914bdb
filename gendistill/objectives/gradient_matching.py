"""Gradient matching, DC (Zhao et al., ICLR 2021), https://arxiv.org/abs/2006.05929.

With siamese augmentation: DSA (Zhao & Bilen, ICML 2021), https://arxiv.org/abs/2102.08259.

    loss_class = n sum_layers sum_rows 1 - <g, g'> / (|g| |g'| + 1e-6)        (per class, times its n pictures)

where g and g' are the gradients of a network's mean cross-entropy on real and on synthetic pictures of the class, and a row
holds the weights of one output. Parameters of one dimension (biases, norms) have no rows and count nothing, as in the
authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets.base import Classifier, Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.objectives.base import Looks, Objective, PartedLoss, Scope, nothing, of_class
from gendistill.objectives.matching import some_real
from gendistill.types import Losses, Pixels, UserError
from gendistill.views.siamese import Siamese


@dataclass(frozen=True)
class GradientMatching(Objective):
    """Distance of the gradients that real and synthetic pictures of a class give a network, times the synthetic pictures.

    net      drawn anew every ``outer`` steps, the same for all classes
    batch    real pictures per class and step; synthetic ones per step of the network's own training
    augment  the same random change to both sides (DSA), None for none (DC)
    outer    steps with one network
    inner    passes over the synthetic pictures of all classes that the network is trained for between two steps
    net_lr   of that training: SGD without momentum
    """

    net: Net = ConvNet()
    batch: int = 256
    augment: Siamese | None = None
    outer: int = 1
    inner: int = 0
    net_lr: float = 0.01
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.outer < 1 or self.inner < 0 or self.batch < 1 or self.net_lr <= 0:
            raise UserError(
                f"GradientMatching needs outer >= 1, inner >= 0, batch >= 1 and net_lr > 0, got outer={self.outer}, "
                f"inner={self.inner}, batch={self.batch}, net_lr={self.net_lr}"
            )
        if self.inner and self.outer == 1:
            raise UserError(
                f"inner={self.inner} trains the network between two steps, and with outer=1 every step has a new one: "
                "leave inner at 0, or raise outer"
            )

    @property
    def scope(self) -> Scope:
        """A network that learns from the synthetic pictures must see those of all classes."""
        return "set" if self.inner else "class"

    @property
    def period(self) -> int:
        """The network is a function of what happened since it was drawn."""
        return self.outer

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order; their sum where the network is trained.

        Raises:
            UserError: the network has batch normalisation.
        """
        return _Matched(self, context, self._networks(context))

    def _networks(self, context: Context) -> Callable[[Synthetic], Classifier]:
        """The network of a step, drawn and trained as the steps go on. A step may be asked for again."""
        shape, key = shape_of(context), (context.seed, "gradient matching", context.place)
        if any(isinstance(module, _BatchNorm) for module in build(self.net, shape, 0, context.device).modules()):
            raise UserError(
                f"GradientMatching looks at one class at a time, whose statistics would be all that the batch normalisation "
                f"of {self.net} sees: give the network norm='instance'"
            )
        # By its number: the network, and the last step it was made ready for.
        held: dict[int, tuple[Classifier, int]] = {}

        def network(synthetic: Synthetic) -> Classifier:
            step, number = synthetic.step, synthetic.step // self.outer
            net, ready = held.get(number, (None, -1))
            if net is None or step < ready:
                net, ready = build(self.net, shape, seeds.number(*key, number, "net"), context.device), step
            # A plan times one step, which must then hold what most steps hold.
            if self.inner and (ready < step or context.dry):
                self._train(net, synthetic, seeds.stream(*key, step, "train"))
            held.clear()
            held[number] = net, step
            return net

        return network

    @torch.enable_grad()
    def _train(self, net: Classifier, synthetic: Synthetic, stream: torch.Generator) -> None:
        pixels, labels = synthetic.pixels.detach(), synthetic.labels.to(synthetic.pixels.device)
        optimizer = torch.optim.SGD(net.parameters(), lr=self.net_lr)
        for _ in range(self.inner):
            for part in torch.randperm(len(pixels), generator=stream).to(pixels.device).split(self.batch):
                seen = pixels[part]
                if self.augment is not None:
                    seen = self.augment(seen, stream, net.mean, net.std)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(net(seen), labels[part]).backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class _Matched(PartedLoss):
    """Looks are the summed gradients of the pictures of a class by every parameter, named by both."""

    adds = True

    def __init__(
        self, settings: GradientMatching, context: Context, network: Callable[[Synthetic], Classifier]
    ) -> None:
        self.settings, self.context, self.network = settings, context, network

    def parts(self, synthetic: Synthetic) -> bool:
        """Not where the network learns from all pictures."""
        return not self.settings.inner

    def __call__(self, synthetic: Synthetic) -> Losses:
        """As `PartedLoss`, class by class: memory holds the second derivatives of one class, not of all."""
        net = self.network(synthetic)
        each = torch.stack([self._one(net, index, synthetic) for index in self.context.classes])
        return each.sum(0, keepdim=True) if self.settings.inner else each

    @torch.enable_grad()
    def _one(self, net: Classifier, index: int, synthetic: Synthetic) -> Tensor:
        pixels = of_class(synthetic.pixels, synthetic.labels, index)
        if not len(pixels):
            return pixels.sum()
        at = pixels.detach().requires_grad_()
        found = gradients(net, self._changed(net, at, index, synthetic.step), index, create_graph=True)
        value = self._compared(net, [one / len(at) for one in found], len(at), index, synthetic.step)
        # The gradient is taken here and handed on as a linear function.
        (slope,) = torch.autograd.grad(value, at)
        return value.detach() + (slope * (pixels - at.detach())).sum()

    def look(self, synthetic: Synthetic) -> Looks:
        """Gradients, summed over pictures, by class and position of the parameter."""
        net, graph, looks = self.network(synthetic), torch.is_grad_enabled(), {}
        for index in self.context.classes:
            pixels = of_class(synthetic.pixels, synthetic.labels, index)
            if len(pixels):
                with torch.enable_grad():
                    changed = self._changed(net, pixels, index, synthetic.step)
                    found = gradients(net, changed, index, create_graph=graph)
                looks.update({(index, place): one for place, one in enumerate(found)})
        return looks

    def judge(self, looks: Looks, synthetic: Synthetic) -> Losses:
        """One number per class of the context, in its order: 0 for those without pictures."""
        net, labels = self.network(synthetic), synthetic.labels

        def one(index: int) -> Tensor:
            count = int((labels == index).sum())
            found = [looks[index, place] / count for place in range(sum(1 for _ in net.parameters())) if count]
            return self._compared(net, found, count, index, synthetic.step) if count else nothing(synthetic)

        return torch.stack([one(index) for index in self.context.classes])

    def _compared(self, net: Classifier, found: Sequence[Tensor], count: int, index: int, step: int) -> Tensor:
        """The loss of a class from its mean gradients."""
        real = some_real(self.context, index, self.settings.batch, seeds.stream(*self._key(index, step), "batch"))
        with torch.enable_grad():
            wanted = gradients(net, self._changed(net, real, index, step), index, create_graph=False)
        return count * distance(found, [one / len(real) for one in wanted])

    def _changed(self, net: Classifier, pixels: Pixels, index: int, step: int) -> Pixels:
        """The same random change to either side, and to every part of one."""
        if self.settings.augment is None:
            return pixels.view_as(pixels)  # not the leaf: a plan counts operations by hooks, which take none
        stream = seeds.stream(seeds.number(*self._key(index, step), "augment"))
        return self.settings.augment(pixels, stream, net.mean, net.std, siamese=True)

    def _key(self, index: int, step: int) -> tuple[seeds.Part, ...]:
        return (self.context.seed, "gradient matching", self.context.place, index, step)


def gradients(net: Classifier, pixels: Pixels, index: int, create_graph: bool) -> Sequence[Tensor]:
    """Gradients of the cross-entropy of pictures of class ``index``, summed, by every parameter."""
    labels = torch.full((len(pixels),), index, device=pixels.device)
    loss = F.cross_entropy(net(pixels), labels, reduction="sum")
    return torch.autograd.grad(loss, list(net.parameters()), create_graph=create_graph)


def distance(one: Iterable[Tensor], other: Iterable[Tensor]) -> Tensor:
    """Sum over layers and output rows of 1 - cosine; parameters of one dimension count nothing."""
    rows = [(a.flatten(1), b.flatten(1)) for a, b in zip(one, other, strict=True) if a.dim() > 1]
    return torch.stack([(1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum() for a, b in rows]).sum()
