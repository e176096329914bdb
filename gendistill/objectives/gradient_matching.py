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
from gendistill.nets.base import Classifier, Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.objectives.base import Objective, Scope, of_class
from gendistill.objectives.matching import some_real
from gendistill.types import Loss, Losses, Pixels, Synthetic, UserError
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
        network = self._networks(context)

        def one(net: Classifier, index: int, synthetic: Synthetic) -> Tensor:
            key = (context.seed, "gradient matching", context.place, index, synthetic.step)
            pixels = of_class(synthetic.pixels, synthetic.labels, index)
            if not len(pixels):
                return pixels.sum()
            real = some_real(context, index, self.batch, seeds.stream(*key, "batch"))
            return self._matched(net, index, pixels, real, seeds.number(*key, "augment"))

        def loss(synthetic: Synthetic) -> Losses:
            net = network(synthetic)
            each = torch.stack([one(net, index, synthetic) for index in context.classes])
            return each.sum(0, keepdim=True) if self.inner else each

        return loss

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

    @torch.enable_grad()
    def _matched(self, net: Classifier, index: int, pixels: Pixels, real: Tensor, seed: int) -> Tensor:
        """The loss of a class; ``seed`` says what the augmentation does to both sides."""

        def changed(given: Tensor) -> Tensor:
            if self.augment is None:
                return given.view_as(given)  # not the leaf: a plan counts operations by hooks, which take none
            return self.augment(given, seeds.stream(seed), net.mean, net.std, siamese=True)

        at = pixels.detach().requires_grad_()
        wanted = gradients(net, changed(real), index, create_graph=False)
        value = len(pixels) * distance(gradients(net, changed(at), index, create_graph=True), wanted)
        # The gradient is taken here and handed on as a linear function, so that memory holds the second derivatives of one
        # class, not of all.
        (slope,) = torch.autograd.grad(value, at)
        return value.detach() + (slope * (pixels - at.detach())).sum()


def gradients(net: Classifier, pixels: Pixels, index: int, create_graph: bool) -> Sequence[Tensor]:
    """Gradients of the mean cross-entropy of pictures of class ``index``, by every parameter."""
    labels = torch.full((len(pixels),), index, device=pixels.device)
    loss = F.cross_entropy(net(pixels), labels)
    return torch.autograd.grad(loss, list(net.parameters()), create_graph=create_graph)


def distance(one: Iterable[Tensor], other: Iterable[Tensor]) -> Tensor:
    """Sum over layers and output rows of 1 - cosine; parameters of one dimension count nothing."""
    rows = [(a.flatten(1), b.flatten(1)) for a, b in zip(one, other, strict=True) if a.dim() > 1]
    return torch.stack([(1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum() for a, b in rows]).sum()
