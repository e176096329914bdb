"""Distribution matching (Zhao & Bilen, WACV 2023), https://arxiv.org/abs/2110.04181.

    loss_class = n | mean_real f(A(x)) - mean_synthetic f(A(s)) |^2        (Eq. 4 per class, times its n pictures)

with a freshly drawn random network f at every step, and one siamese augmentation A for both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.nets.base import Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.objectives.base import Objective
from gendistill.types import Loss, Losses, Synthetic
from gendistill.views import Siamese


@dataclass(frozen=True)
class MeanFeatures(Objective):
    """Squared distance of class-mean features, real to synthetic, times the number of synthetic pictures.

    net      drawn anew at every step
    batch    real pictures per class and step
    augment  the same random change to both sides, None for none
    """

    net: Net = ConvNet()
    batch: int = 256
    augment: Siamese | None = Siamese()
    weight: float = 1.0
    scope = "class"

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""
        shape = shape_of(context)

        def one(index: int, synthetic: Synthetic) -> Tensor:
            key = (context.seed, "mean features", context.place, index, synthetic.step)
            net = build(self.net, shape, seeds.number(*key, "net"), context.device)
            stored = context.stored(index)
            picked = torch.randperm(len(stored), generator=seeds.stream(*key, "batch"))[: self.batch]
            real = stored[picked].to(context.device).float() / 255
            pixels = synthetic.pixels[(synthetic.labels == index).to(synthetic.pixels.device)]
            count = len(pixels)
            if self.augment is not None:
                real = self.augment(real, seeds.stream(*key, "augment"), net.mean, net.std, siamese=True)
                pixels = self.augment(pixels, seeds.stream(*key, "augment"), net.mean, net.std, siamese=True)
            with torch.no_grad():
                wanted = net.features(real).mean(0)
            return count * (wanted - net.features(pixels).mean(0)).square().sum()

        def loss(synthetic: Synthetic) -> Losses:
            return torch.stack([one(index, synthetic) for index in context.classes])

        return loss
