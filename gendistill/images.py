"""Pictures in memory, and views of other pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gendistill.seeds import Part, stream
from gendistill.system.store import fingerprint as fingerprinted
from gendistill.types import Class, Images, Stored, UserError

BLOCK = 256
"""Pictures that are looked at together, where all are."""


class StoredImages(Images):
    """Pictures held in memory as one uint8 tensor."""

    def __init__(self, classes: Sequence[Class], labels: Tensor, stored: Stored, fingerprint: str = "") -> None:
        """Keep ``stored`` as it is; an empty ``fingerprint`` is replaced by the hash of the content."""
        self.classes = tuple(classes)
        self.labels = labels.long().cpu()
        self._stored = stored
        self.shape = (stored.shape[1], stored.shape[2], stored.shape[3])
        self.fingerprint = fingerprint or fingerprinted([str(c) for c in self.classes], self.labels, stored)

    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """8-bit pictures at these positions."""
        return self._stored[torch.as_tensor(indices, dtype=torch.long)]


def content(images: Images) -> str:
    """Fingerprint of the pictures themselves, in their order, however they are kept and whatever they are called."""
    blocks = torch.arange(len(images)).split(BLOCK)
    return fingerprinted(images.shape, *(fingerprinted(images.stored(block)) for block in blocks))


class Subset(Images):
    """Some positions of other images, still read on demand."""

    def __init__(self, images: Images, positions: Tensor) -> None:
        """View ``images`` at ``positions``, in that order."""
        self._images, self._positions = images, positions.long()
        self.classes, self.shape = images.classes, images.shape
        self.labels = images.labels[self._positions]
        self.fingerprint = fingerprinted("subset", images.fingerprint, self._positions)

    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """8-bit pictures at these positions of the view."""
        return self._images.stored(self._positions[torch.as_tensor(indices, dtype=torch.long)])


def drawn(images: Images, index: int, count: int, *key: Part) -> Tensor:
    """Positions of so many random pictures of class ``index``, or of all it has; the stream follows from the key and the class."""
    where = images.where(index)
    return where[torch.randperm(len(where), generator=stream(*key, index))[:count]]


def split(train: Images, fraction: float, seed: int, name: str) -> tuple[Images, Images]:
    """The training pictures that are kept, and those that are held out: a part of each class, at least one.

    Raises:
        UserError: nothing of a class would be kept.
    """
    held = torch.zeros(len(train), dtype=torch.bool)
    for index, one in enumerate(train.classes):
        where = train.where(index)
        count = max(1, round(fraction * len(where)))
        if count >= len(where):
            raise UserError(
                f"{name} has too few training pictures of {one} to hold out {fraction:.0%} of them: {len(where)}"
            )
        held[drawn(train, index, count, "validation", seed)] = True
    positions = torch.arange(len(train))
    return Subset(train, positions[~held]), Subset(train, positions[held])
