"""What comes out: pictures, their labels, and where they came from. Random real and full real sets are values of this kind too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gendistill.formatting import describe, spell_bytes, spell_labels
from gendistill.labelers.alternate import AlternatingLabels
from gendistill.labelers.hard import HardLabels
from gendistill.types import Class, Images, SoftLabels, UserError

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Distilled:
    """A small set to train on.

    images   the pictures, 8-bit, read on demand
    soft     their labels: hard, or log-probabilities of an ensemble
    ids      (N, 3) class, slot, candidate
    weight   (N,) how much each picture counts in a student's loss, 1 on average
    recipe   what made it; None for a set of others
    origin   what is known of its making: versions, data, prior, teachers, settings of its pictures
    prompts  what was said for each picture, where the prior was asked in words
    """

    images: Images
    soft: SoftLabels
    ids: Tensor
    weight: Tensor
    recipe: Any = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    prompts: tuple[str, ...] | None = None

    @classmethod
    def of(cls, images: Images, soft: SoftLabels | None = None, recipe: Any = None) -> Distilled:
        """A set from any labelled pictures, numbered within their classes in order."""
        slots = torch.zeros(len(images), dtype=torch.long)
        for index in range(len(images.classes)):
            where = images.where(index)
            slots[where] = torch.arange(len(where))
        ids = torch.stack([images.labels, slots, torch.zeros_like(slots)], 1)
        return cls(images, soft or HardLabels(images.labels, len(images.classes)), ids, torch.ones(len(images)), recipe)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        kept = f" of {spell_bytes(self.soft.bytes)}" if self.soft.kind in ("soft", "views") else ""
        about = describe(len(self), len(self.classes), self.images.shape)
        return f"Distilled({about}, {spell_labels(self.soft.kind)}{kept})"

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes, in index order."""
        return self.images.classes

    @property
    def labels(self) -> Tensor:
        """(N,) class of each picture."""
        return self.images.labels

    @property
    def ipc(self) -> int:
        """Pictures in the largest class."""
        return int(torch.bincount(self.labels, minlength=1).max())

    def hard(self) -> Distilled:
        """The same pictures with their hard labels."""
        return replace(self, soft=HardLabels(self.labels, len(self.classes)))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of pictures (as lossless PNG, or raw where PNG knows no such picture), of labels and of soft labels.

        Where a generator is what was distilled, its bytes are in the place of the pictures', and labels cost nothing: a student
        asks for the classes it wants.
        """
        from gendistill.pictures import MODES, png

        if self.images.bytes is not None:
            return {"generator": self.images.bytes, **self.label_sizes}
        total = 0
        for positions in torch.arange(len(self.images)).split(256):
            stored = self.images.stored(positions)
            total += sum(len(png(one)) for one in stored) if stored.shape[1] in MODES else stored.numel()
        return {"images": total, **self.label_sizes}

    @property
    def label_sizes(self) -> dict[str, int]:
        """Bytes of labels and of soft labels."""
        hard = 0 if self.images.bytes is not None else HardLabels(self.labels, len(self.classes)).bytes
        return {"labels": hard, "soft labels": 0 if self.soft.kind == "hard" else self.soft.bytes}

    def torch(self, view: int | None = None) -> Dataset:
        """A map-style dataset of (pixels in [0, 1], target): the class index, or its log-probabilities where labels are soft.

        Args:
            view: number of the view that pixels and labels are of: in an epoch of so many ``soft.view(epoch, epochs)``. Labels that
                are the same in every epoch do without.

        Raises:
            UserError: labels differ from view to view and none is named or one that has none, or they are hard.
        """
        if view is None and (self.soft.views is not None or isinstance(self.soft, AlternatingLabels)):
            raise UserError(
                "these labels differ from epoch to epoch: name a view, torch(view=distilled.soft.view(epoch, epochs)) in every "
                "epoch, or take hard labels, distilled.hard().torch()"
            )
        if view is not None and self.soft.kind == "hard":
            raise UserError(f"view={view}: these labels are of the pictures as they are; leave view out")
        turns, kept = isinstance(self.soft, AlternatingLabels), self.soft.kind == "views"
        if view is not None and ((view < 0 and not turns) or (kept and view >= self.soft.count)):
            stored = f"those from 0 to {self.soft.count - 1} are stored" if kept else "they are counted from 0"
            raise UserError(f"there are no labels of view={view}, {stored}: name distilled.soft.view(epoch, epochs)")
        return TorchView(self, view)

    def hf(self) -> datasets.Dataset:
        """A ``datasets.Dataset`` with the columns of the exported set, in memory."""
        from gendistill.exporting.export import to_dataset

        return to_dataset(self)


class TorchView(Dataset):
    """A distilled set as torch and timm loaders take it."""

    def __init__(self, distilled: Distilled, view: int | None = None) -> None:
        """Look at ``distilled`` as it is, or in one of its views; labels of pictures have views in which these are as they are."""
        self._set, self._view = distilled, view

    def __len__(self) -> int:
        return len(self._set.images)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Pixels and targets at some positions: a loader asks for a batch at once."""
        images, soft, where = self._set.images, self._set.soft, torch.as_tensor(positions)
        if soft.views is None:
            pixels = images.pixels(where)
        else:
            assert self._view is not None  # the set saw to it
            pixels = soft.views.look(images.pixels, where, self._view, len(images)).pixels
        targets = self._set.labels[where] if soft.kind == "hard" else soft.at(where, self._view or 0).to(pixels.device)
        return list(zip(pixels, targets, strict=True))
