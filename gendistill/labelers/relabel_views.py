"""A soft label for every view of every picture: FKD (Shen & Xing, ECCV 2022), https://arxiv.org/abs/2112.01528.

Views are made again from their numbers, so only what teachers said of them is kept. Views are drawn alike, so that to prune them at
random (LPLD, Xiao & He, NeurIPS 2024, https://arxiv.org/abs/2410.15919) is to keep fewer: a student goes round those there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.codecs.base import Codec
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.ensemble import Committee, Ensemble, blockwise
from gendistill.labelers.relabel import learned, written
from gendistill.learning.label_losses import LabelLoss
from gendistill.learning.training import reader
from gendistill.system.store import (
    fingerprint,
    fingerprint_file,
    read_tensors,
    readable,
    tensor_bytes,
    write_tensors,
)
from gendistill.types import Images, LogProbs, Pixels, SoftLabels, UserError
from gendistill.views.base import Read
from gendistill.views.numbered import Views
from gendistill.work import Work

SHARD_BYTES = 64 << 20
"""Labels of one file, about: one is in memory at a time."""
MADE_PIXELS = 1 << 20
"""Pictures of views hold so many pixels when they are made at once: ten views of a hundred pictures of 32 px."""


class ViewLabels(SoftLabels):
    """Labels of numbered views, read shard by shard."""

    kind = "views"

    def __init__(
        self,
        shards: list[Path],
        views: Views,
        classes: int,
        temperature: float,
        codec: Codec,
        cooling: Cooling | None = None,
        loss: LabelLoss | None = None,
    ) -> None:
        """Each shard holds the codec's rows of some views, (views, N, ...) each; the first shard is the largest."""
        self.shards, self.views, self.codec, self.temperature, self.cooling = shards, views, codec, temperature, cooling
        self.loss = loss
        self._classes, self._open = classes, (-1, {})
        self.bytes, counts = 0, []
        for shard in shards:  # their headers only: together they may not fit
            with readable(shard), safe_open(shard, framework="pt") as file:
                counts.append(file.get_slice(next(iter(file.keys()))).get_shape()[:2])
            self.bytes += tensor_bytes(shard)
        self.count, (self._per_shard, self.pictures) = sum(views for views, _ in counts), counts[0]

    def _read(self, number: int) -> dict[str, Tensor]:
        if self._open[0] != number:
            self._open = (number, read_tensors(self.shards[number]))
        return self._open[1]

    @cached_property
    def fingerprint(self) -> str:
        """Of the files, the views they are of, and how they are learned."""
        how = (self.temperature, self.cooling, *learned(self).values())
        return fingerprint(*(fingerprint_file(shard) for shard in self.shards), self.views, *how)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """Log-probabilities of the pictures at these positions in this view, one of ``count``."""
        rows = self._read(view // self._per_shard)
        mine = {name: tensor[view % self._per_shard, positions] for name, tensor in rows.items()}
        return self.codec.decode(mine, self._classes)

    def view(self, epoch: int, epochs: int, first: int = 0) -> int:
        """The views in turn, again and again, wherever a student begins."""
        return (first + epoch) % self.count

    def temperature_at(self, epoch: int, epochs: int) -> float:
        """As it cools, where it does."""
        return self.temperature if self.cooling is None else self.cooling.at(self.temperature, epoch)

    def save(self, folder: Path) -> dict[str, object]:
        """Write ``labels/``."""
        files = [f"labels/{shard.name}" for shard in self.shards]
        for file, shard in zip(files, self.shards, strict=True):
            write_tensors(folder / file, read_tensors(shard))
        told: dict[str, object] = {name: repr(getattr(self, name)) for name in ("views", "codec", "cooling")}
        told |= {**learned(self), "count": self.count, **written(folder, files)}
        return {"kind": self.kind, "temperature": self.temperature, **told}


@dataclass(frozen=True)
class RelabelViews(Ensemble):
    """Soft labels by an ensemble, of numbered views.

    teachers          references of classifiers, see `gendistill.nets.trained.load`
    average           what is averaged over teachers: there is no neutral choice, so there is no default
    temperature       of the student's loss with these labels
    weights           how much each teacher counts, see `Ensemble`
    softening         what each teacher's logits are divided by, see `Ensemble`
    batch_statistics  pictures in a batch whose mean and variance the teachers' batch norms go by (BSSL); 0 for the learned ones
    loss              what a student minimises with these labels; None for what its training says
    views             what teachers and student look at
    count             how many views of each picture are labelled; a student of more epochs sees them again. Labels are pruned by
                      keeping fewer (LPLD)
    codec             how they are kept
    cooling           how the temperature falls from epoch to epoch; None keeps it
    """

    views: Views = Views()
    count: int = 300
    codec: Codec = Half()
    cooling: Cooling | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise UserError(f"count={self.count}: at least one view of each picture must be labelled")

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """All views, one shard after the other; what a killed run finished is not made again."""
        folder = context.store.folder(
            "labels", self.key(images, context), lambda place: self._make(place, images, context)
        )
        shards = sorted(folder.glob("*.safetensors"))
        how = (self.temperature, self.codec, self.cooling, self.loss)
        return ViewLabels(shards, self.views, len(images.classes), *how)

    def key(self, images: Images, context: Context) -> dict[str, object]:
        """What its labels of a set follow from, as they are kept in the store."""
        return {
            "set": images.fingerprint,
            "teachers": self.identity(context), "data": context.real.train.fingerprint, "views": repr(self.views),
            "count": self.count, "codec": repr(self.codec), "device": context.device.type,
        }  # fmt: skip

    def parts(self, images: Images) -> list[list[int]]:
        """The numbers of the views of every shard."""
        each = self.codec.bytes(len(images.classes)) * len(images)
        return [part.tolist() for part in torch.arange(self.count).split(max(1, SHARD_BYTES // each))]

    def _make(self, folder: Path, images: Images, context: Context) -> None:
        say, parts = self.asked(images, context), self.parts(images)
        for number, part in enumerate(context.progress(parts, "label views", len(parts))):
            file = folder / shard_name(number)
            if not file.exists():
                write_tensors(file, stacked([self.codec.encode(said) for said in say(part)]))

    def asked(self, images: Images, context: Context) -> Callable[[Sequence[int]], Iterator[LogProbs]]:
        """What the teachers say of all pictures in each of some views, by their numbers."""
        committee, read = self.committee(context), reader(images, context.device)
        return lambda views: self._said(views, committee, read, images, context.device)

    def _said(
        self, views: Sequence[int], committee: Committee, read: Read, images: Images, device: torch.device
    ) -> Iterator[LogProbs]:
        """View after view. The pictures of several are made at once where the set is small; teachers see each view alone."""
        for bundle in self._bundles(views, images):
            blocks = [self.blocks(images, device, self.views.seed, view) for view in bundle]
            looks = [(view, block) for view, mine in zip(bundle, blocks, strict=True) for block in mine]
            at_once = [looks] if len(bundle) > 1 else [[look] for look in looks]
            # One stream of answers, of which every view takes those about its own blocks.
            answers = (committee(pixels) for some in at_once for pixels in self._made(some, read, images))
            yield from (blockwise(images, answers, mine) for mine in blocks)

    def _bundles(self, views: Sequence[int], images: Images) -> Iterator[Sequence[int]]:
        """Views whose pictures are made at once. A single picture is not summed over as it is among others: its views are not."""
        pixels = math.prod(images.shape[1:]) * len(images)
        each = max(1, MADE_PIXELS // pixels) if len(images) > 1 else 1
        return (views[first : first + each] for first in range(0, len(views), each))

    def _made(self, looks: Sequence[tuple[int, Tensor]], read: Read, images: Images) -> Sequence[Pixels]:
        """What is seen in each of some views at some positions, (n, c, h, w) each, all of it made at once."""
        sizes = [len(positions) for _, positions in looks]
        views = torch.tensor([view for view, _ in looks]).repeat_interleave(torch.tensor(sizes))
        shown = self.views.look(read, torch.cat([positions for _, positions in looks]), views, len(images))
        return shown.pixels.split(sizes)

    def bytes(self, classes: int) -> int:
        """A label of every view."""
        return self.count * self.codec.bytes(classes)

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """A pass of every teacher for every view."""
        return self.passes(images, context, self.count)


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"views-{number:05d}.safetensors"


def stacked(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A codec's rows of some views as one shard."""
    return {name: torch.stack([one[name] for one in rows]) for name in rows[0]}
