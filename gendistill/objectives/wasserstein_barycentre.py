"""WMDD (Liu et al., ICCV 2025), https://arxiv.org/abs/2311.18531: every picture stands for an atom of its class's barycentre.

    loss_picture = | f(s_j) - b_j |^2

The atoms b_j and their weights w_j, one for each slot, are the Wasserstein-2 barycentre of the features of a class, found in rounds
(Cuturi & Doucet, ICML 2014): the best transport T from atoms to features is a linear programme; its dual prices say how w should
change; an atom moves towards the mean of what it is sent to, b_j <- b_j + share (sum_i T_ji f(x_i) / w_j - b_j).

Ours is a square per picture; the authors' code takes one norm over the whole batch, not squared, its square commented out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets import ensemble
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Objective
from gendistill.objectives.matching import squared_distances
from gendistill.types import Losses, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class WassersteinBarycentre(Objective):
    """Squared distance of a picture's features to the atom of its slot; the heaviest atom belongs to the first slot.

    The weights of the atoms are kept beside them in the store, but pull no picture more than another: the publication gives
    them to what is learnt from the pictures later. Where there are weights, the authors' code also weighs the batch's mean and
    variance in batch normalisation by them, which `BatchNorm(per_class=True)` does not.

    teacher   whose features, a reference as in `gendistill.nets.trained.load`
    pictures  real pictures per class at most, by chance: the linear programme grows with pictures x ipc
    rounds    of transport and movement
    share     of its way that an atom goes in a round, in (0, 1]
    """

    teacher: Any = Trained()
    pictures: int = 500
    rounds: int = 10
    share: float = 0.2
    weight: float = 1.0
    scope = "picture"

    def __post_init__(self) -> None:
        object.__setattr__(self, "teacher", ensemble.members("WassersteinBarycentre", (self.teacher,))[0])
        if self.pictures < 1 or self.rounds < 0 or not 0 < self.share <= 1:
            raise UserError(
                f"WassersteinBarycentre needs pictures >= 1, rounds >= 0 and 0 < share <= 1, "
                f"got {self.pictures}, {self.rounds}, {self.share}"
            )

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teacher."""
        return ensemble.origins([self.teacher], licence)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of the teacher, its look at the real pictures, and the linear programmes."""
        counts = [min(self.pictures, len(context.real.train.where(index))) for index in context.classes]
        yield from ensemble.work([self.teacher], context, sum(counts), shared=True)
        costs = torch.rand(context.ipc, max(counts), generator=seeds.stream("plan")).double()
        even = torch.full((context.ipc,), 1 / context.ipc).double()
        yield Work("barycentre", self.rounds * len(counts), lambda: transport(costs, even), shared=True, each="class")

    def bind(self, context: Context) -> Loss:
        """One number per picture."""
        nets = ensemble.load([self.teacher], context)
        atoms = {index: self.atoms(context, index)["atoms"].to(context.device) for index in context.classes}

        def loss(synthetic: Synthetic) -> Losses:
            rows = zip(synthetic.labels.tolist(), synthetic.ids[:, 1].tolist(), strict=True)
            wanted = torch.stack([atoms[index][slot % context.ipc] for index, slot in rows])
            return (ensemble.features(nets, synthetic.pixels) - wanted).square().sum(1)

        return loss

    def atoms(self, context: Context, index: int) -> dict[str, Tensor]:
        """``atoms`` (ipc, d) and ``weights`` (ipc,) of a class, heaviest first, float32, kept on disk."""

        def make() -> dict[str, Tensor]:
            where = context.real.train.where(index)
            order = torch.randperm(len(where), generator=seeds.stream(context.seed, "barycentre", index))
            stored = context.real.train.stored(where[order[: context.ipc if context.dry else self.pictures]])
            nets = ensemble.load([self.teacher], context)
            points = ensemble.look(stored, lambda pixels: ensemble.features(nets, pixels), context)
            atoms, weights = barycentre(points, context.ipc, 0 if context.dry else self.rounds, self.share)
            heaviest = weights.argsort(descending=True, stable=True)
            return {"atoms": atoms[heaviest].float(), "weights": weights[heaviest].float()}

        if context.dry:
            return make()
        data = {"data": context.real.train.fingerprint, "device": context.device.type}
        key = {
            **data,
            "class": index,
            "settings": repr(replace(self, weight=1.0)),
            "teacher": self.teacher.identity(context),
            "ipc": context.ipc,
            "seed": context.seed,
        }
        return context.store.tensors("barycentres", key, make)


def barycentre(points: Tensor, count: int, rounds: int, share: float) -> tuple[Tensor, Tensor]:
    """Atoms (count, d) and weights (count,), float64, of points (m, d) that weigh the same.

    They begin as the first points, with the same weights. Fewer points than atoms are used again.
    """
    points = points.double()
    atoms = points[torch.arange(count) % len(points)]
    weights = torch.full((count,), 1 / count, dtype=torch.double)
    for number in range(1, rounds + 1):
        plan, prices = transport(squared_distances(atoms, points), weights)
        sent = plan.sum(1, keepdim=True)
        centres = torch.where(sent > 0, plan @ points / sent, atoms)  # an atom that weighs nothing stays
        atoms = atoms + share * (centres - atoms)
        prices = prices - prices.mean()
        largest = float(prices.abs().max())
        if largest > 0:  # the first step changes no weight by more than what it began with
            weights = on_simplex(weights - prices / (largest * count * number))
    return atoms, weights


def transport(costs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The cheapest plan (n, m) from n weights to m points that weigh the same, and the price (n,) of more of each weight."""
    n, m = costs.shape
    leaves, arrives = sparse.kron(sparse.eye(n), np.ones((1, m))), sparse.kron(np.ones((1, n)), sparse.eye(m))
    masses = np.concatenate([weights.numpy(), np.full(m, 1 / m)])
    found = linprog(
        costs.flatten().numpy(),
        A_eq=sparse.vstack([leaves, arrives]).tocsr(),
        b_eq=masses,
        bounds=(0, None),
        method="highs",
    )
    if found.x is None:
        raise RuntimeError(f"no transport was found between {n} atoms and {m} pictures: {found.message}")
    return torch.from_numpy(found.x).view(n, m), torch.from_numpy(np.array(found.eqlin.marginals[:n]))


def on_simplex(values: Tensor) -> Tensor:
    """The nearest weights that are not negative and sum to 1 (Duchi et al., ICML 2008)."""
    falling = values.sort(descending=True).values
    over = (falling.cumsum(0) - 1) / torch.arange(1, len(values) + 1, dtype=values.dtype)
    return (values - over[int((falling > over).sum()) - 1]).clamp_min(0)
