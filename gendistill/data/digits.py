"""The 8x8 digits that come with scikit-learn: small, real and always there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gendistill.data.pictures import Frame
from gendistill.images import StoredImages
from gendistill.seeds import stream
from gendistill.types import Class, RealData, UserError

FOLDS = 5


@dataclass(frozen=True)
class Digits:
    """1797 handwritten digits (Alpaydin & Kaynak, 1998), grey 8x8, https://archive.ics.uci.edu/dataset/80.

    Every class is dealt out to five folds, always the same, so that each fold has a fifth of each class.

    size  side of the pictures in pixels, resampled from 8 (bicubic); None keeps 8
    fold  which fifth is the test set, 0 to 4; the other four are the training set
    """

    size: int | None = 16
    fold: int = 0

    def __post_init__(self) -> None:
        Frame(self.size, 1)
        if self.fold not in range(FOLDS):
            raise UserError(f"fold={self.fold} is not one of the {FOLDS} folds: 0 to {FOLDS - 1}")

    def open(self) -> RealData:
        """Read the digits that scikit-learn keeps on disk."""
        from sklearn.datasets import load_digits  # slow to import, and only these data need it

        ink, digits = load_digits(return_X_y=True)  # ink is counted 0..16
        grey = (np.asarray(ink) * (255 / 16)).round().astype(np.uint8).reshape(-1, 8, 8)
        labels = torch.from_numpy(np.asarray(digits)).long()
        frame = Frame(self.size, 1)
        stored = torch.stack([frame(Image.fromarray(picture), "a digit") for picture in grey])
        classes = tuple(Class(str(digit)) for digit in range(10))
        held = folds(labels) == self.fold
        return RealData(
            "digits",
            StoredImages(classes, labels[~held], stored[~held]),
            lambda: StoredImages(classes, labels[held], stored[held]),
            licence="CC BY 4.0",
        )


def folds(labels: Tensor) -> Tensor:
    """The fold of each picture, (n,): every class shuffled by its own fixed stream and dealt out in turn."""
    fold = torch.empty_like(labels)
    for index in labels.unique().tolist():
        where = torch.nonzero(labels == index).flatten()
        fold[where[torch.randperm(len(where), generator=stream("digits", index))]] = torch.arange(len(where)) % FOLDS
    return fold
