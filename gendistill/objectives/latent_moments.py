"""The pictures of a class have, as a set, the moments of its real latents.

D3HR (Zhao et al., ICML 2025), https://arxiv.org/abs/2505.18399, scores a set of latents by

    loss_class = n ( a |mean z - mu| + b |std z - s| + c |skew z - g| )       (times the n pictures of the class)

with mean, standard deviation and skewness of every dimension taken over the pictures, and mu, s, g those of the real latents.
The authors compare the skewness with 0, that of the normal distribution they draw from; and their code takes it over the
dimensions of a picture, which says nothing about the set. RSM + CGS (CVPR 2026; from notes, unverified) use the squared first term.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.capabilities import Encodes
from gendistill.context import Context, encoding
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective, of_class
from gendistill.objectives.diversity import finished
from gendistill.types import Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class LatentMoments(Objective):
    """Weighted distances of the moments of a class's clean latents to those of its real ones, times the pictures.

    Pictures of the class that were finished before belong to the set, held fixed. A moment that so few pictures do not have is
    left out: the deviation of one, the skewness of one or two.

    mean      weight of the distance of means
    std       weight of the distance of standard deviations
    skewness  weight of the distance of skewnesses
    squared   square the distances, which then pull less the nearer they are
    """

    mean: float = 1.0
    std: float = 1.0
    skewness: float = 0.0
    squared: bool = False
    weight: float = 1.0
    needs = (Encodes,)
    scope = "class"

    def __post_init__(self) -> None:
        weights = (self.mean, self.std, self.skewness)
        if min(weights) < 0 or max(weights) == 0:
            raise UserError(
                f"LatentMoments needs weights of at least 0, one of them above, got mean={self.mean}, std={self.std}, "
                f"skewness={self.skewness}"
            )

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding of the real pictures."""
        return encoding(context)

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""

        def measure(index: int) -> dict[str, Tensor]:
            found = context.kept("latent_moments", index, {}, lambda: moments(context.latents(index).double()))
            return {name: value.float().to(context.device) for name, value in found.items()}

        real = {index: measure(index) for index in context.classes}

        def one(index: int, synthetic: Synthetic) -> Tensor:
            clean = of_class(synthetic.clean, synthetic.labels, index)
            if not len(clean):
                return clean.sum()
            whole = torch.cat([finished(synthetic, index), clean])
            found = moments(whole)
            terms = [
                strength * self._distance(found[name] - real[index][name])
                for name, strength in (("mean", self.mean), ("std", self.std), ("skewness", self.skewness))
                if strength and name in found and name in real[index]
            ]
            return len(whole) * torch.stack(terms).sum() if terms else clean[:0].sum()

        def loss(synthetic: Synthetic) -> Losses:
            return torch.stack([one(index, synthetic) for index in context.classes])

        return loss

    def _distance(self, difference: Tensor) -> Tensor:
        return difference.square().sum() if self.squared else difference.norm()


def moments(latents: Tensor) -> dict[str, Tensor]:
    """Mean, standard deviation and skewness over the pictures, per dimension (d,), as far as so few of them have any."""
    rows = latents.flatten(1)
    found = {"mean": rows.mean(0)}
    if len(rows) > 1:
        found["std"] = rows.std(0)
    if len(rows) > 2:
        centred = rows - found["mean"]
        # A dimension that never changes, such as the corner of a digit, has skewness 0.
        found["skewness"] = centred.pow(3).mean(0) / centred.square().mean(0).clamp_min(1e-12).pow(1.5)
    return found
