"""Crops of real pictures that a teacher is sure of: RDED (Sun et al., CVPR 2024), https://arxiv.org/abs/2312.03526.

crop* of a picture = argmin over some random crops of - log p(class | crop);  the lowest of all pictures are kept
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill import seeds
from gendistill.anchors.base import Anchors, encoding_some, imagined
from gendistill.anchors.crops import as_stored, cut, mosaic
from gendistill.context import Context, together
from gendistill.nets import ensemble
from gendistill.nets.teachers import AnsweringTeachers
from gendistill.nets.trained import Trained
from gendistill.types import Pixels, RealData, Stored, UserError
from gendistill.work import Work

LEAST_SIDE = 64
"""Pixels of a tile, at least: below it there is nothing left to see."""
LEAST_CROP = 4
"""Pixels of a crop's side before it is resized, at least: of very small pictures less would be a plain colour."""


@dataclass(frozen=True)
class Patches(AnsweringTeachers, Anchors):
    """The crop each real picture is recognised by best, the surest pictures first.

    Where ``tiles`` is 2, one slot holds a mosaic of 4 crops of half the side: IPC 10 then shows 40 pieces of real pictures per
    class, stored in the bytes of 10 pictures. Comparisons at equal IPC with sets of one view per picture should say so.

    teachers  whose mean cross-entropy decides
    pictures  of a class that are cropped, in a seeded order, at most
    crops     of each, square
    scale     (from, to) share of a picture's area that a crop covers, in (0, 1]
    tiles     crops along each side of a mosaic; more than 1 only where a tile keeps 64 px
    """

    teachers: tuple[Any, ...] = (Trained(),)
    pictures: int = 300
    crops: int = 5
    scale: tuple[float, float] = (0.08, 1.0)
    tiles: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.scale
        if min(self.pictures, self.crops, self.tiles) < 1 or not 0 < low <= high <= 1:
            raise UserError(
                f"Patches needs pictures, crops and tiles >= 1 and 0 < from <= to <= 1 in scale, got pictures={self.pictures}, "
                f"crops={self.crops}, tiles={self.tiles}, scale={self.scale}"
            )

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if pictures are too small for the mosaic. A class may have fewer pictures than crops are wanted."""
        side = data.train.shape[-1]
        if self.tiles > 1 and (side % self.tiles or side < LEAST_SIDE * self.tiles):
            raise UserError(
                f"tiles={self.tiles} of pictures of {side} px: a tile needs {LEAST_SIDE} px or more and the side must be a "
                "multiple of tiles; use tiles=1"
            )

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """Latents of the crops. Slot j holds the j-th surest; a mosaic also the (IPC + j)-th, (2 IPC + j)-th ..., as published.

        A picture gives a second crop only when all have given one. Where there are fewer crops than the slots want, every slot
        holds those that follow on the last one's, and after the least sure the surest comes again.
        """
        if context.dry:
            return imagined(context, slots)
        found = context.store.tensors("patches", self._key(context, index), lambda: self._chosen(context, index))
        chosen, boxes = found["chosen"], self._boxes(context, index)
        where, picked = context.real.train.where(index), self._picked(context, index)
        side, tiles = context.real.train.shape[-1] // self.tiles, torch.arange(self.tiles**2)
        few, made = len(chosen) < context.ipc * len(tiles), []
        for slot in (slots % context.ipc).tolist():
            # Steps of IPC would come back to the same crop where the number of crops divides it.
            mine = chosen[(slot * len(tiles) + tiles) % len(chosen) if few else slot + context.ipc * tiles]
            stored = context.real.train.stored(where[picked[mine[:, 0]]])
            pieces = [cut(one, boxes[p, n].tolist(), side) for one, (p, n) in zip(stored, mine.tolist(), strict=True)]
            made.append(mosaic(torch.stack(pieces), self.tiles))
        return context.encode(as_stored(torch.stack(made)))

    def _key(self, context: Context, index: int) -> dict[str, object]:
        data, device = context.real.train.fingerprint, context.device.type
        teachers = [one.identity(context) for one in self.teachers]
        more = {"anchors": repr(self), "teachers": teachers, "ipc": context.ipc, "seed": context.seed}
        return {"data": data, "class": index, "device": device, **more}

    def _picked(self, context: Context, index: int) -> Tensor:
        """Positions in the class of the pictures that are cropped."""
        stream = seeds.stream(context.seed, "patches", index)
        return torch.randperm(len(context.real.train.where(index)), generator=stream)[: self.pictures]

    def _boxes(self, context: Context, index: int) -> Tensor:
        """Top, left and side of every crop of the picked pictures, (pictures, crops, 3)."""
        side, stream = context.real.train.shape[-1], seeds.stream(context.seed, "patches", index, "boxes")
        area, *corner = torch.rand(len(self._picked(context, index)), self.crops, 3, generator=stream).unbind(2)
        low, high = self.scale
        size = ((low + (high - low) * area).sqrt() * side).round().long().clamp(min(LEAST_CROP, side), side)
        return torch.stack([*((at * (side - size + 1)).long() for at in corner), size], 2)

    def _chosen(self, context: Context, index: int) -> dict[str, Tensor]:
        nets, boxes = ensemble.load(self.teachers, context), self._boxes(context, index)
        where, losses = context.real.train.where(index)[self._picked(context, index)], []
        for part in torch.arange(len(where)).split(max(1, together(context.real.train.shape) // self.crops)):
            stored = context.real.train.stored(where[part])
            losses.append(self._losses(nets, stored, boxes[part], index, context))
        wanted = context.ipc * self.tiles**2
        return {"chosen": surest(torch.cat(losses))[:wanted]}

    @torch.no_grad()
    def _losses(self, nets: list[nn.Module], stored: Stored, boxes: Tensor, index: int, context: Context) -> Tensor:
        """Mean cross-entropy of every crop of some pictures, (n, crops)."""
        side = context.real.train.shape[-1]
        pieces = [
            cut(one, box, side // self.tiles) for one, mine in zip(stored, boxes, strict=True) for box in mine.tolist()
        ]
        shown = framed(torch.stack(pieces), side, context.statistics[0]).to(context.device)
        labels = torch.full((len(shown),), index, device=context.device)
        loss = torch.stack([F.cross_entropy(net(shown), labels, reduction="none") for net in nets]).mean(0)
        return loss.cpu().view(len(stored), self.crops)

    def work(self, context: Context) -> Iterable[Work]:
        """Training of teachers, their look at every crop, and encoding of the kept ones."""
        sizes = [min(self.pictures, len(context.real.train.where(index))) for index in context.classes]
        yield from ensemble.work(self.teachers, context, self.crops * sum(sizes))
        yield from encoding_some(context)


def framed(pieces: Pixels, side: int, colour: tuple[float, ...]) -> Tensor:
    """Smaller pieces in the middle of pictures of the data's mean colour, which a network sees as nothing."""
    size = pieces.shape[-1]
    if size == side:
        return pieces
    at, frame = (side - size) // 2, torch.tensor(colour).view(1, -1, 1, 1).repeat(len(pieces), 1, side, side)
    frame[:, :, at : at + size, at : at + size] = pieces
    return frame


def surest(losses: Tensor) -> Tensor:
    """Rows (picture, crop) of a table of losses (n, crops): the best crop of every picture by loss, then the second best ..."""
    order, found = losses.argsort(dim=1, stable=True), []
    for crop in order.T:
        pictures = losses.gather(1, crop.view(-1, 1)).flatten().argsort(stable=True)
        found.append(torch.stack([pictures, crop[pictures]], 1))
    return torch.cat(found)
