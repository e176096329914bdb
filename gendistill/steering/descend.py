"""Down a generator's hierarchy: optimise in one space, go on to the next, keep the best of all.

H-GLaD (Zhong et al., CVPR 2025), https://arxiv.org/abs/2406.05704. For every space n in order

    f_n <- optimised for some steps,   score_n = judge( decode(f_n) ),   f_(n+1) = layer_(n+1)(f_n)

and the pictures with the lowest score are what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from gendistill.capabilities import Generates, Generator
from gendistill.context import Context, together
from gendistill.draft import Draft, Loss, Synthetic
from gendistill.nets.sampling import Fixed
from gendistill.objectives.base import Objective, Scope, widest
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.steering.base import Steering
from gendistill.steering.in_parts import Term, losses_of
from gendistill.steering.optimize import Optimize
from gendistill.steering.push import Push
from gendistill.steering.render import decode
from gendistill.types import UserError
from gendistill.work import Work

PLACES = 1000
"""More than a recipe has steps: every space draws numbers of its own, as if it were one more step."""


@dataclass(frozen=True)
class Descend(Steering):
    """The same optimisation in one space after the other; of what they leave, the best by a judge is kept.

    What is kept comes out in the last space, whatever space it was found in: its pictures stay as they are. A judge of pictures
    keeps the best of each, one of classes the best of each class.

    optimize  what is done in every space; its steps are those of one
    judge     lowest is best; asked once a space, always about the same real pictures
    spaces    where, in their order; None for all from the one the pictures are in
    """

    optimize: Optimize
    judge: Objective = MeanFeatures(Fixed(), augment=None)
    spaces: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.spaces is not None:
            object.__setattr__(self, "spaces", tuple(self.spaces))
        if self.spaces == () or self.optimize.through is not None:
            raise UserError("Descend needs at least one space, and an Optimize(...) without a sampler")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What moves the pictures, and what judges them."""
        return (*self.optimize.objectives, self.judge)

    @property
    def needs(self) -> tuple[type, ...]:
        """A generator, and what optimisation and judge need."""
        return (Generates, *self.optimize.needs, *self.judge.needs)

    @property
    def scope(self) -> Scope:
        """The widest of what moves and what judges."""
        return widest([self.optimize.scope, self.judge.scope])

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The best pictures of the way, in the last space.

        Raises:
            UserError: there are no latents yet, or no such space, or not in this order.
            Diverged: a loss is not finite.
        """
        if not draft.latents:
            raise UserError("Descend moves latents, and the draft has none yet: put Generate() before it")
        judge, best, kept = self.judge.bind(context), torch.empty(0), {}
        for number, space in enumerate(self._way(draft)):
            inner = replace(context, place=context.place + PLACES * (number + 1), resume=_beside(context.resume, space))
            draft = self.optimize(Push(space)(draft, context), inner)
            scores = self._scores(draft, judge, context)
            wins = scores < best if number else torch.ones(len(draft), dtype=torch.bool)  # the first of equals stays
            best = torch.where(wins, scores, best) if number else scores
            _keep(kept, draft, torch.nonzero(wins).flatten(), context)
        return replace(draft, latents={name: value.to(context.device) for name, value in kept.items()})

    def _way(self, draft: Draft) -> tuple[str, ...]:
        """The spaces that are passed."""
        if self.spaces is not None:
            return self.spaces
        spaces = cast(Generator, draft.prior).spaces
        return spaces[max(index for index, name in enumerate(spaces) if name in draft.latents) :]

    @torch.no_grad()
    def _scores(self, draft: Draft, judge: Loss, context: Context) -> Tensor:
        """What the judge says of each picture, of its class or of all, (n,) on the CPU."""
        chunk = together(context.real.train.shape)
        synthetic = Synthetic(
            draft.prior,
            draft.latents,
            draft.ids,
            draft.labels,
            decode=lambda latents: decode(draft.prior, latents, chunk),
        )
        (scores,) = losses_of([Term(1.0, self.judge.scope, judge)], synthetic, chunk)
        scores = scores.cpu()
        if self.judge.scope == "class":
            scores = scores[torch.tensor([context.classes.index(label) for label in draft.labels.tolist()])]
        return scores.expand(len(draft))

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """The optimisation in every space, and one look of the judge after each."""
        begun = self.imagined(draft, context)
        draft = draft if draft.latents else super().imagined(draft, context)
        yield from self.judge.work(context)
        way, judge = self._way(draft), self.judge.bind(context)
        for space in way:
            draft = Push(space)(draft, context)
            yield from self.optimize.work(draft, context)
        yield Work("judge", len(way), lambda: self._scores(begun, judge, context), rows=len(begun))

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """Latents in the last space."""
        return Push()(draft if draft.latents else super().imagined(draft, context), context)


def _keep(kept: dict[str, Tensor], draft: Draft, rows: Tensor, context: Context) -> None:
    """Write the last-space latents of these rows over those that are kept, on the CPU: the device holds a block of them."""
    chunk = together(context.real.train.shape)
    for part in [rows[at : at + chunk] for at in range(0, len(rows), chunk)]:
        for name, value in Push()(draft[part], context).latents.items():
            if name not in kept:
                kept[name] = torch.empty(len(draft), *value.shape[1:], dtype=value.dtype)
            kept[name][part] = value.cpu()


def _beside(path: Path | None, space: str) -> Path | None:
    """A file of the space's own."""
    return None if path is None else path.with_name(f"{path.stem}-{space}{path.suffix}")
