"""Influence-guided diffusion, IGD (Chen et al., ICLR 2025), https://github.com/mchen725/DD_IGD.

    loss_picture = 1/K sum_k ( 1 - cos( grad_theta CE(theta_k; picture, label), g_k ) )

over checkpoints theta_k of a surrogate's training on real data: g_k is the mean gradient of the cross-entropy over real
pictures of the class. From the initial weights on, a checkpoint is kept when the cosine of its g with that of the last kept
one is below a threshold. The authors average that cosine over all classes and so keep one list; here a class has its own,
so that it needs no picture of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from gendistill import seeds
from gendistill.context import Context, together
from gendistill.draft import Loss, Synthetic
from gendistill.learning.training import Training
from gendistill.nets import trained
from gendistill.nets.base import Classifier
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Objective
from gendistill.types import Labels, Losses, Pixels, Stored, UserError
from gendistill.work import Work

KEPT_WHEN_DRY = 4
"""Checkpoints a plan counts with: as many as the authors kept."""


@dataclass(frozen=True)
class Influence(Objective):
    """One minus the cosine between a picture's gradient of the surrogate's weights and the class's, mean over checkpoints.

    surrogate  trained in place, its weights kept after every epoch; the authors train a ConvNet-6 for 50 epochs
    threshold  cosine in (-1, 1] below which a later checkpoint tells something new
    pictures   real pictures of the class whose gradients are averaged
    """

    surrogate: Trained = Trained(training=Training(epochs=50))
    threshold: float = 0.7
    pictures: int = 200
    weight: float = 1.0
    scope = "picture"

    def __post_init__(self) -> None:
        if not isinstance(self.surrogate, Trained):
            raise UserError(
                f"Influence needs the whole training of its surrogate, which {self.surrogate!r} does not hold: give Trained(...)"
            )
        if not -1 < self.threshold <= 1 or self.pictures < 1:
            raise UserError(
                f"Influence needs -1 < threshold <= 1 and pictures >= 1, got {self.threshold} and {self.pictures}"
            )

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The surrogate."""
        return [trained.origin(self.surrogate, licence)]

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the surrogate, and at each of its checkpoints the gradient of every class."""
        yield from trained.work(self.surrogate, context)
        net = trained.checkpoint(self.surrogate, 0, replace(context, dry=True))
        count = max(1, min(self.pictures, len(context.real.train) // len(context.real.classes)))
        stored = torch.zeros(
            min(together(context.real.train.shape), count), *context.real.train.shape, dtype=torch.uint8
        )
        calls = len(context.classes) * (trained.passes(self.surrogate, context) + 1) * count / len(stored)
        yield Work("gradient", calls, lambda: mean_gradient(net, stored, 0, context.device), True, len(stored), "class")

    def bind(self, context: Context) -> Loss:
        """One number per picture, in [0, 2]. Gradients of one class are held at a time."""

        def loss(synthetic: Synthetic) -> Losses:
            pixels = synthetic.pixels
            labels = synthetic.labels.to(pixels.device)
            losses = pixels.new_zeros(len(pixels))
            for index in labels.unique().tolist():
                rows = torch.nonzero(labels == index).flatten()
                losses = losses.index_copy(0, rows, self._of_class(pixels[rows], index, context))
            return losses

        return loss

    def _of_class(self, pixels: Pixels, index: int, context: Context) -> Losses:
        epochs, wanted = self._wanted(index, context)
        labels = torch.full((len(pixels),), index, device=pixels.device)
        total = torch.zeros(len(pixels), device=pixels.device)
        for epoch, mean in zip(epochs, wanted, strict=True):
            net = self._net(epoch, context)
            total = total + 1 - F.cosine_similarity(gradients(net, pixels, labels), mean.unsqueeze(0))
        return total / len(epochs)

    def _net(self, epoch: int, context: Context) -> Classifier:
        return context.once(
            ("checkpoint", self.surrogate, epoch), lambda: trained.checkpoint(self.surrogate, epoch, context)
        )

    def _wanted(self, index: int, context: Context) -> tuple[list[int], Tensor]:
        """Epochs of the checkpoints that are kept for a class, and the class's gradient at each, (K, parameters)."""
        held = context.once(("influence", self), dict)
        if index not in held:
            held.clear()
            held[index] = self._find(index, context)
        return held[index]

    def _find(self, index: int, context: Context) -> tuple[list[int], Tensor]:
        last = trained.passes(self.surrogate, context)
        if context.dry:
            kept = list(range(min(KEPT_WHEN_DRY, last + 1)))
            size = sum(one.numel() for one in self._net(0, context).parameters())
            return kept, torch.randn(1, size, device=context.device).expand(len(kept), -1)
        key = {
            "data": context.real.train.fingerprint, "surrogate": repr(self.surrogate), "class": index, "seed": context.seed,
            "threshold": self.threshold, "pictures": self.pictures, "device": context.device.type,
        }  # fmt: skip

        def make() -> dict[str, Tensor]:
            stored = context.stored(index)
            # Steps of one recipe share what is costly: the place in the recipe is no part of the key.
            stream = seeds.stream(context.seed, "influence", index)
            stored = stored[torch.randperm(len(stored), generator=stream)[: self.pictures]]
            means = (
                mean_gradient(trained.checkpoint(self.surrogate, epoch, context), stored, index, context.device)
                for epoch in range(last + 1)
            )
            kept = keep_turns(means, self.threshold)
            return {"epochs": torch.tensor(list(kept)), "gradients": torch.stack(list(kept.values()))}

        found = context.store.tensors("influence", key, make)
        return found["epochs"].tolist(), found["gradients"].to(context.device)


def keep_turns(gradients: Iterable[Tensor], threshold: float) -> dict[int, Tensor]:
    """The gradients that have turned away from the last kept one, by position: the first, then each below the cosine."""
    kept: dict[int, Tensor] = {}
    last: Tensor | None = None
    for place, one in enumerate(gradients):
        if last is None or F.cosine_similarity(one, last, dim=0) < threshold:
            kept[place] = last = one
    return kept


def gradients(net: nn.Module, pixels: Pixels, labels: Labels) -> Tensor:
    """Each picture's own gradient of its cross-entropy by all weights, (n, parameters), differentiable in the pixels.

    By vmap: on an accelerator one batch instead of n.
    """

    def loss(weights: dict[str, Tensor], picture: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, weights, (picture.unsqueeze(0),)), label.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(dict(net.named_parameters()), pixels, labels)
    return torch.cat([one.flatten(1) for one in found.values()], 1)


@torch.enable_grad()
def mean_gradient(net: nn.Module, stored: Stored, index: int, device: torch.device) -> Tensor:
    """The mean over 8-bit pictures of class ``index`` of the gradient of their cross-entropy, (parameters,), block by block."""
    weights = {name: one.detach().requires_grad_() for name, one in net.named_parameters()}
    total = torch.zeros(sum(one.numel() for one in weights.values()), device=device)
    for block in stored.split(together(stored.shape)):
        logits = functional_call(net, weights, (block.to(device).float() / 255,))
        labels = torch.full((len(block),), index, device=device)
        found = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), list(weights.values()))
        total += torch.cat([one.flatten() for one in found])
    return total / len(stored)
