"""The subset of the candidates whose latents are spread as those of the real pictures: the group score of D3HR, on a pool.

D3HR (Zhao et al., ICML 2025), https://arxiv.org/abs/2505.18399, draws groups of Gaussian noise and keeps the best; here the
groups are drawn from finished candidates and compared with the real latents, skewness included, which need not be Gaussian.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.moments import distance, of_sets, of_subsets
from gendistill.capabilities import Encodes
from gendistill.context import Context, encoding
from gendistill.draft import Draft
from gendistill.steering.selection import Selection, imagined
from gendistill.types import LATENT, UserError
from gendistill.work import Work

TOGETHER = 1 << 22
"""Numbers of one moment that are held at once."""


@dataclass(frozen=True)
class SelectMoments(Selection):
    """Of many random subsets keep the one whose moments over the set are nearest to the class's, dimension by dimension.

    draws     subsets that are tried per class
    mean      weight of the distance of means
    std       weight of the distance of standard deviations
    skewness  weight of the distance of skewnesses, which are numbers of the order of 1 whatever the latents' scale
    """

    draws: int = 10_000
    mean: float = 1.0
    std: float = 1.0
    skewness: float = 0.5
    looks_at_real = True

    def __post_init__(self) -> None:
        if self.draws < 1 or min(self.mean, self.std, self.skewness) < 0:
            raise UserError(f"SelectMoments needs draws >= 1 and weights >= 0, got {self}")

    @property
    def needs(self) -> tuple[type, ...]:
        """Real pictures are encoded."""
        return (Encodes,)

    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """The best subset of every class, in the order of slots and candidates."""
        return [self._best(draft, group, wanted, context) for group in groups]

    def _best(self, draft: Draft, group: Tensor, wanted: int, context: Context) -> Tensor:
        index = int(draft.labels[group[0]])
        real = of_sets(context.latents(index).flatten(1).double())
        # Powers of numbers around the class's mean lose nothing in float64, whatever the latents' own mean is.
        points = draft.latents[LATENT][group].flatten(1).double().cpu() - real.mean
        about_zero = real._replace(mean=torch.zeros_like(real.mean))
        stream = seeds.stream(context.seed, "moments", context.place, index)
        best, lowest = group[:wanted], float("inf")
        for count in _chunks(self.draws, max(1, TOGETHER // points.shape[1])):
            subsets = torch.rand(count, len(group), generator=stream).argsort(1)[:, :wanted]
            scores = distance(of_subsets(points, subsets), about_zero, (self.mean, self.std, self.skewness))
            if float(scores.min()) < lowest:
                lowest, best = float(scores.min()), group[subsets[scores.argmin()].sort().values]
        return best

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Encoding of the real pictures, and the search."""
        yield from encoding(context)
        ready = imagined(draft, context)
        mine = torch.nonzero(ready.labels == ready.labels[0]).flatten()
        wanted = len(ready.ids[mine, 1].unique())
        times = len(ready.labels.unique())
        yield Work("moments", times, lambda: self._best(ready, mine, wanted, context), rows=len(mine))


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - at) for at in range(0, total, size)]
