"""The label rows of a prior that is trained here: which stands for which class, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence

from timm.data.imagenet_info import ImageNetInfo

from gendistill.types import Class

LABEL_ROWS = 1000
"""Label rows of every prior; diffusers' ``DiTPipeline`` fixes the row after them as the one that asks for no class."""


def label_rows(classes: Sequence[Class]) -> tuple[int, ...]:
    """The row of each class: its ImageNet index where every class is an ImageNet-1K synset, else its position."""
    known = {wnid: row for row, wnid in enumerate(ImageNetInfo().label_names())}
    if all(c.wnid in known for c in classes):
        return tuple(known[str(c.wnid)] for c in classes)
    return tuple(range(len(classes)))


def id2label(classes: Sequence[Class]) -> dict[str, str]:
    """The name of each row that is used, as ``DiTPipeline`` keeps it in its config."""
    named = sorted(zip(label_rows(classes), (c.name for c in classes), strict=True))
    return {str(row): name for row, name in named}
