"""Every picture is pulled towards a real picture of its class, one for each slot: the inversion of IT-GAN.

IT-GAN (Zhao & Bilen, 2022), https://arxiv.org/abs/2204.07513.

    loss_picture = pixels |s - x|^2 + features mean_networks |f(s) - f(x)|^2        x the real picture of the slot of s

Alone it finds the latents of real pictures, whatever the generator; beside others it keeps pictures near them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.anchors.real_pictures import of_slots
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets.sampling import Fixed, Networks
from gendistill.objectives.base import Objective
from gendistill.objectives.by_slot import BySlot
from gendistill.objectives.matching import normalises_by_batch
from gendistill.types import Ids, Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class PicturePull(Objective):
    """The squared distance of a picture to the real one of its slot, in pixels and in the features of networks.

    networks  in whose features, drawn anew at every step where they are random; none that takes statistics of its batch, by
              which pictures would judge each other
    pixels    weight of the distance in pixels, summed over all of them
    features  weight of the distance in features; 0 asks no network
    """

    networks: Networks = Fixed()
    pixels: float = 1.0
    features: float = 1.0
    weight: float = 1.0
    scope = "picture"

    def __post_init__(self) -> None:
        if min(self.pixels, self.features) < 0 or self.pixels + self.features == 0:
            raise UserError(
                "PicturePull needs weights of at least 0, one of them above, got "
                f"pixels={self.pixels}, features={self.features}"
            )

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The networks, where they are trained."""
        return self.networks.origins(licence) if self.features else []

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the networks, where they are trained."""
        return self.networks.work(context) if self.features else ()

    def bind(self, context: Context) -> Loss:
        """One number per picture. The loss raises `UserError` where a network takes statistics of its batch."""
        targets = BySlot(lambda ids: self._wanted(context, ids), context.device)

        def loss(synthetic: Synthetic) -> Losses:
            made, real = synthetic.pixels, targets(synthetic.ids).float() / 255
            found = self.pixels * apart(made, real)
            if not self.features:
                return found
            nets = self.networks.draw(context, context.seed, "picture pull", context.place, synthetic.step)
            if any(normalises_by_batch(net) for net in nets):
                raise UserError(
                    f"PicturePull judges each picture alone, and batch normalisation in {self.networks} takes the statistics of "
                    "all that are seen together: use Fixed(...), or networks without it, such as Fresh(ConvNet())"
                )
            with torch.no_grad():
                wanted = [net.features(real) for net in nets]
            seen = [apart(net.features(made), goal) for net, goal in zip(nets, wanted, strict=True)]
            return found + self.features * torch.stack(seen).mean(0)

        return loss

    def _wanted(self, context: Context, ids: Ids) -> Tensor:
        found = torch.empty(len(ids), *context.real.train.shape, dtype=torch.uint8)
        for index in ids[:, 0].unique().tolist():
            rows = ids[:, 0] == index
            found[rows] = of_slots(context, index, ids[rows, 1])
        return found


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Squared distances, row by row, (n,)."""
    return (one - other).flatten(1).square().sum(1)
