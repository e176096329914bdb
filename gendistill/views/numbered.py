"""Views by number: what a picture looks like in view 7 is the same in every batch, order, process and device.

A view follows from the set, the picture's position in it and the view's number alone. So a label of a view needs no crop box, flip
or partner beside it (as in FKD, Shen & Xing, ECCV 2022, https://arxiv.org/abs/2112.01528): the student makes the view again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.system.devices import beside
from gendistill.types import Pixels, UserError
from gendistill.views.base import Mix, Operation, Read, Shown
from gendistill.views.crop import RandomResizedCrop
from gendistill.views.cutmix import CutMix
from gendistill.views.flip import Flip
from gendistill.views.numbers import Draw, apart, numbered, permutation


@dataclass(frozen=True)
class Views:
    """Augmented looks at the pictures of a set, by number.

    operations  what happens to each picture, in this order
    mix         what happens to pairs then; the partner follows from a permutation of the whole set, another in every view
    seed        of all of it
    """

    operations: tuple[Operation, ...] = (RandomResizedCrop(), Flip())
    mix: Mix | None = CutMix()
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "operations", tuple(self.operations))
        wrong = [one for one in self.operations if not isinstance(one, Operation)]
        if wrong or not (self.mix is None or isinstance(self.mix, Mix)):
            raise UserError(
                f"views are made of operations such as RandomResizedCrop() and a mix such as CutMix(), got {wrong or self.mix!r}"
            )

    def look(self, read: Read, positions: Tensor, view: int | Tensor, count: int) -> Shown:
        """The pictures at these positions of a set of ``count``, seen in one view; or each in its own, (n,) int64."""
        if self.mix is None:
            return Shown(self._seen(read, positions, view))
        views, rows = apart(view, positions)
        partners = self._partners(positions, views, rows, count)
        own, other = (rows * count + which for which in (positions, partners))
        # Each of these is a picture in a view. One that is another's partner there is made once: where the whole set is looked at,
        # all of them are.
        made = torch.cat([own, other[~torch.isin(other, own)].unique()])
        seen = self._seen(read, made % count, views[made // count])
        ranked, order = made.sort()
        place = order[torch.searchsorted(ranked, other)]
        pixels, share = self.mix(seen[: len(own)], seen[beside(place, seen)], self._mixing(positions, view))
        return Shown(pixels, partners, share)

    def mixing(self, positions: Tensor, view: int, count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Which pictures these are mixed with, and how much of each is the picture itself, as `look` has them; looks at none.

        Where nothing is mixed, every picture is wholly itself.

        Args:
            positions: (n,) of the pictures.
            view: its number.
            count: pictures of the set.
            size: height and width of the pictures.
        """
        if self.mix is None:
            return positions, torch.ones(len(positions))
        blank = torch.zeros(len(positions), 1, *size)
        _, share = self.mix(blank, blank, self._mixing(positions, view))
        return self._partners(positions, *apart(view, positions), count), share

    def _partners(self, positions: Tensor, views: Tensor, rows: Tensor, count: int) -> Tensor:
        """Which pictures these are mixed with, (n,); ``rows`` says which of the views each is in."""
        partners = torch.empty(len(positions), dtype=torch.long)
        for number, one in enumerate(views.tolist()):
            mine = rows == number
            partners[mine] = permutation(self.seed, one, count)[positions[mine]]
        return partners

    def _mixing(self, positions: Tensor, view: int | Tensor) -> Draw:
        return numbered(seeds.number(self.seed, "mix"), positions, view)

    def _seen(self, read: Read, positions: Tensor, view: int | Tensor) -> Pixels:
        pixels = read(positions)
        draw = numbered(self.seed, positions, view)
        for operation in self.operations:
            pixels = operation(pixels, draw)
        return pixels
