"""Optimal transport between the latents of a class and its weighted modes, entropic and in the log domain.

    loss_class = n min_T  sum_ij T_ij |z_i - m_j|^2  +  eps KL(T | a b^T)

over plans T from the n pictures, which weigh a = 1 / n, to the modes m, which weigh b, the share of the real latents they are
nearest to. Its gradient pulls each picture to the mean of the modes it is sent to, and no mode is forgotten.

DMGD (Wang et al., CVPR 2026), https://arxiv.org/abs/2605.03877, guides a diffusion prior so, while pictures follow each other, with
all of them on the unit sphere;
OT-GDD (Cui et al., NeurIPS 2025), https://arxiv.org/abs/2512.00308, with a batch of real latents in place of modes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.anchors.modes import Modes
from gendistill.capabilities import Encodes
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Objective, of_class
from gendistill.objectives.diversity import finished
from gendistill.objectives.matching import squared_distances
from gendistill.types import Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Sinkhorn(Objective):
    """Entropic transport cost from the pictures of a class to its modes, times the number of pictures.

    Pictures of the class that were finished before count like the others, but stay where they are.

    modes       of a class, found by k-means
    epsilon     entropy, in mean squared distances between pictures and modes: the larger, the more modes pull a picture
    iterations  of Sinkhorn's algorithm
    sphere      compare directions: latents and modes have length 1
    debiased    less half the cost of each side to itself, which is 0 where both agree: without it pictures shrink to the mean
    """

    modes: Modes = Modes(count=10)
    epsilon: float = 0.1
    iterations: int = 5
    sphere: bool = False
    debiased: bool = False
    weight: float = 1.0
    needs = (Encodes,)
    scope = "class"

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or self.iterations < 1:
            raise UserError(
                f"Sinkhorn needs epsilon > 0 and iterations >= 1, got epsilon={self.epsilon}, iterations={self.iterations}"
            )

    def work(self, context: Context) -> Iterable[Work]:
        """Finding the modes."""
        return self.modes.work(context)

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""
        targets = {index: self._target(context, index) for index in context.classes}

        def one(index: int, synthetic: Synthetic) -> Tensor:
            clean = of_class(synthetic.clean, synthetic.labels, index)
            if not len(clean):
                return clean.sum()
            points = torch.cat([clean, finished(synthetic, index)])
            return len(points) * self.between(points.flatten(1), *targets[index])

        def loss(synthetic: Synthetic) -> Losses:
            return torch.stack([one(index, synthetic) for index in context.classes])

        return loss

    def between(self, points: Tensor, modes: Tensor, share: Tensor) -> Tensor:
        """The cost from points (n, d) that weigh the same to modes (k, d) that weigh ``share`` (k,)."""
        if self.sphere:
            points, modes = F.normalize(points, dim=1), F.normalize(modes, dim=1)
        even = torch.full((len(points),), 1 / len(points), device=points.device)
        epsilon = self.epsilon * squared_distances(points.detach(), modes).mean()

        def cost(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
            return entropic(squared_distances(x, y), a.log(), b.log(), epsilon, self.iterations)

        found = cost(points, even, modes, share)
        if self.debiased:
            found = found - (cost(points, even, points, even) + cost(modes, share, modes, share)) / 2
        return found

    def _target(self, context: Context, index: int) -> tuple[Tensor, Tensor]:
        """Modes (k, d) of a class and the share of its latents nearest to each, without those that are nearest to none."""
        latents = context.latents(index).flatten(1)
        modes = self.modes.find(context, index, torch.arange(self.modes.count or context.ipc)).flatten(1)
        nearest = squared_distances(latents, modes).argmin(1)
        counts = torch.bincount(nearest, minlength=len(modes))
        near = counts > 0
        return modes[near].float().to(context.device), (counts[near] / len(latents)).to(context.device)


def entropic(costs: Tensor, log_a: Tensor, log_b: Tensor, epsilon: Tensor, iterations: int) -> Tensor:
    """Entropic transport cost; its gradient in ``costs`` (n, m) is the plan, as at the optimum. Every row sends what it weighs."""
    with torch.no_grad():
        scaled = costs / epsilon.clamp_min(torch.finfo(costs.dtype).tiny)
        f = torch.zeros_like(log_a)
        for _ in range(iterations):
            g = -(log_a[:, None] + f[:, None] - scaled).logsumexp(0)
            f = -(log_b + g - scaled).logsumexp(1)
        ratio = f[:, None] + g - scaled  # log of the plan over what independence would send
        plan = (ratio + log_a[:, None] + log_b).exp()
        entropy = epsilon * (plan * ratio).sum()
    return (plan * costs).sum() + entropy
