"""Pictures have the statistics that batch normalisation knows: SRe2L (Yin et al., NeurIPS 2023), https://arxiv.org/abs/2306.13092.

    loss = n sum_l w_l ( | mean_l(S) - mean_l | + | var_l(S) - var_l | ),   w = first, 1, 1, ...

over the inputs of the layers l: norms, not squares, and biased variances. The targets are the running statistics, or those
of each class: LPLD (Xiao & He, NeurIPS 2024), https://arxiv.org/abs/2410.15919, and WMDD (Liu et al., ICCV 2025), https://arxiv.org/abs/2311.18531.
LPLD's are running averages over augmented pictures. WMDD's are sums over one pass, weighted by the size of each batch, of pictures
resized to 256 and cropped to their middle 224, and its variance is the mean of those within the batches. Here they are exact, over
the pictures as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gendistill.context import Context, together
from gendistill.draft import Loss, Synthetic
from gendistill.nets import trained
from gendistill.nets.convnet import ConvNet
from gendistill.nets.reference import Reference
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Looks, PartedLoss, Scope, nothing, of_class
from gendistill.objectives.taught import Taught
from gendistill.types import Losses, Pixels, Stored, UserError
from gendistill.work import Work

Statistics: TypeAlias = list[tuple[Tensor, Tensor]]
"""Mean and variance of every channel, layer by layer."""


@dataclass(frozen=True)
class BatchNorm(Taught):
    """Distance of layer statistics between the pictures and what they stand for, times the number of pictures.

    Batch statistics are of the pictures that are seen together: of a class, or of the whole set, since a part of the
    classes need not have the statistics of all.

    teachers   references of classifiers with batch normalisation, see `gendistill.nets.trained.load`
    per_class  compare each class with its own real pictures, instead of the set with the running statistics
    first      weight of the first layer; the others have 1
    """

    teachers: tuple[Any, ...] = (Trained(ConvNet(norm="batch")),)
    per_class: bool = False
    first: float = 10.0
    weight: float = 1.0

    @property
    def answering(self) -> tuple[Any, ...]:
        """None: their statistics are looked at."""
        return ()

    @property
    def looks_at_real(self) -> bool:
        """Running statistics are the teachers' own."""
        return self.per_class

    def __post_init__(self) -> None:
        """Wrap loaded modules, and refuse networks that are built without batch normalisation."""
        super().__post_init__()
        if self.first < 0:
            raise UserError(f"BatchNorm weighs its first layer by first={self.first}: give 0 or more")
        for teacher in self.teachers:
            if isinstance(teacher, Trained) and getattr(teacher.net, "norm", "batch") != "batch":
                raise UserError(
                    f'BatchNorm reads batch normalisation, and {teacher.net!r} has none: give Trained(ConvNet(norm="batch"))'
                )

    @property
    def scope(self) -> Scope:
        """A class where each has its own targets, else the set."""
        return "class" if self.per_class else "set"

    def work(self, context: Context) -> Iterable[Work]:
        """Training of teachers, and a pass of each over the real pictures of the classes."""
        yield from super().work(context)
        if not self.per_class:
            return
        count = sum(len(context.real.train.where(index)) for index in context.classes)
        block = min(together(context.real.train.shape), count)
        pixels = torch.zeros(block, *context.real.train.shape, device=context.device)
        for reference in self.teachers:
            net = trained.load(reference, replace(context, dry=True))
            yield Work(
                "statistics", count / block, torch.no_grad()(lambda n=net: statistics(n, pixels)), True, block, "class"
            )

    def bind(self, context: Context) -> Loss:
        """One number per class of the context in its order, or one for the set: the mean over teachers.

        Raises:
            UserError: a given module has no batch normalisation.
        """
        nets = self.nets(context)
        for net in nets:
            if not layers(net):
                raise UserError(f"BatchNorm reads batch normalisation, and the given {type(net).__name__} has none")

        return _Matched(self, context, nets)

    def _wanted(self, nets: Sequence[nn.Module], index: int, context: Context) -> list[Statistics]:
        """Targets of a class for every teacher: a few numbers per channel, so those of all classes of a unit are remembered."""
        return [
            context.once(
                ("batch norm", reference, index), lambda r=reference, n=net: class_statistics(r, n, index, context)
            )
            for reference, net in zip(self.teachers, nets, strict=True)
        ]


class _Matched(PartedLoss):
    """Looks are sums over pictures and places of what goes into every layer, by group, teacher and layer."""

    adds = True

    def __init__(self, settings: BatchNorm, context: Context, nets: Sequence[nn.Module]) -> None:
        self.settings, self.context, self.nets = settings, context, nets
        self.groups: Sequence[int | None] = context.classes if settings.per_class else (None,)

    def look(self, synthetic: Synthetic) -> Looks:
        """How much went in, and the sums of its distances to the running mean and of their squares, (3, channels)."""
        looks = {}
        for group in self.groups:
            pixels = synthetic.pixels if group is None else of_class(synthetic.pixels, synthetic.labels, group)
            if len(pixels):
                for number, net in enumerate(self.nets):
                    for place, (x, (mean, _)) in enumerate(zip(inputs(net, pixels), running(net), strict=True)):
                        apart = x - mean[:, None]
                        count = torch.full_like(mean, x.shape[1])
                        looks[group, number, place] = torch.stack([count, apart.sum(1), apart.square().sum(1)])
        return looks

    def judge(self, looks: Looks, synthetic: Synthetic) -> Losses:
        """One number per class of the context in its order, 0 for those without pictures; or one for the set."""
        return torch.stack([self._one(group, looks, synthetic) for group in self.groups])

    def _one(self, group: int | None, looks: Looks, synthetic: Synthetic) -> Tensor:
        if (group, 0, 0) not in looks:
            return nothing(synthetic)
        targets = [running(net) for net in self.nets]
        if group is not None:
            targets = self.settings._wanted(self.nets, group, self.context)
        found = [
            self._distance([looks[group, number, place] for place in range(len(wanted))], running(net), wanted)
            for number, (net, wanted) in enumerate(zip(self.nets, targets, strict=True))
        ]
        count = len(synthetic) if group is None else int((synthetic.labels == group).sum())
        return count * torch.stack(found).mean()

    def _distance(self, sums: Sequence[Tensor], around: Statistics, wanted: Statistics) -> Tensor:
        total = torch.zeros((), device=sums[0].device)
        for place, (one, (centre, _), (mean, var)) in enumerate(zip(sums, around, wanted, strict=True)):
            apart, squares = one[1] / one[0], one[2] / one[0]
            weight = 1.0 if place else self.settings.first
            total = total + weight * ((centre + apart - mean).norm() + (squares - apart.square() - var).norm())
        return total


def class_statistics(reference: Reference, net: nn.Module, index: int, context: Context) -> Statistics:
    """The statistics of the real pictures of a class, kept in the store; when dry, the running ones in their place."""
    if context.dry:
        return running(net)
    key = {
        "data": context.real.train.fingerprint,
        "net": reference.identity(context),
        "class": index,
        "device": context.device.type,
    }

    def make() -> dict[str, Tensor]:
        found = measured(net, context.stored(index), context.device)
        return {
            f"{name}/{i}": value
            for i, pair in enumerate(found)
            for name, value in zip(("mean", "var"), pair, strict=True)
        }

    kept = context.store.tensors("batch-norm", key, make)
    return [
        (kept[f"mean/{i}"].to(context.device), kept[f"var/{i}"].to(context.device)) for i in range(len(layers(net)))
    ]


def layers(net: nn.Module) -> list[_BatchNorm]:
    """The layers of batch normalisation that keep running statistics, in the order they were built."""
    return [one for one in net.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]


def running(net: nn.Module) -> Statistics:
    """What the layers learned of all training pictures."""
    pairs = [(one.running_mean, one.running_var) for one in layers(net)]
    return [(mean, var) for mean, var in pairs if mean is not None and var is not None]


def statistics(net: nn.Module, pixels: Pixels) -> Statistics:
    """Mean and biased variance of what goes into every layer, per channel, differentiable. The network is in eval mode."""
    return [(x.mean(1), x.var(1, correction=0)) for x in inputs(net, pixels)]


@torch.no_grad()
def measured(net: nn.Module, stored: Stored, device: torch.device) -> Statistics:
    """The same of any number of 8-bit pictures, block by block, accumulated in float64."""
    sums = [torch.zeros(0)] * len(layers(net))
    counts = [0] * len(sums)
    for block in stored.split(together(stored.shape)):
        for place, x in enumerate(inputs(net, block.to(device).float() / 255)):
            part = torch.stack([x.double().sum(1), x.double().square().sum(1)])
            sums[place] = part + sums[place] if counts[place] else part
            counts[place] += x.shape[1]
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    return [(mean.float(), (squares - mean.square()).clamp_min(0).float()) for mean, squares in means]


def inputs(net: nn.Module, pixels: Pixels) -> list[Tensor]:
    """What goes into every layer, (channels, pictures x places).

    Raises:
        UserError: the pictures do not pass all layers.
    """
    seen: dict[nn.Module, Tensor] = {}

    def see(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[layer] = given[0].transpose(0, 1).flatten(1)

    hooks = [one.register_forward_pre_hook(see) for one in layers(net)]
    try:
        net(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    missed = set(layers(net)) - seen.keys()
    if missed:
        names = ", ".join(name for name, one in net.named_modules() if one in missed)
        raise UserError(
            f"BatchNorm reads every layer of batch normalisation, and pictures do not pass {names} of the {type(net).__name__}: "
            "give it without what only training uses, such as auxiliary heads"
        )
    return [seen[one] for one in layers(net)]
