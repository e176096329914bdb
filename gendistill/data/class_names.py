"""Data that are names of classes and no picture: all that a prior asked in words needs to draw a labelled set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch

from gendistill import wordnet
from gendistill.data.catalogue import chosen_classes, subset_classes
from gendistill.data.messages import nearest
from gendistill.data.pictures import Frame
from gendistill.data.values import keep_plain
from gendistill.images import StoredImages
from gendistill.types import Class, RealData, UserError

AS_IT_STANDS = "="


@dataclass(frozen=True)
class ClassNames:
    """The classes of a subset of ImageNet, or any others, without their pictures: nothing can be learned from them or judged.

    classes   WordNet ids or words of ImageNet; "=steampunk airship" is taken as it stands, WordNet or not. Of a subset, only
              these of its classes; None for all
    subset    of ImageNet, see `catalogue`
    size      side of the square pictures that are made, in pixels
    channels  of these pictures: 1 grey, 3 RGB
    """

    classes: tuple[str, ...] | None = None
    _: KW_ONLY
    subset: str | None = None
    size: int = 64
    channels: int = 3

    def __post_init__(self) -> None:
        keep_plain(self, "classes")
        Frame(self.size, self.channels)
        self.chosen()

    def chosen(self) -> tuple[Class, ...]:
        """The classes, in index order.

        Raises:
            UserError: a name is unknown, or that of several things.
        """
        if self.subset is not None:
            of_subset = subset_classes(self.subset)
            return of_subset if self.classes is None else chosen_classes(of_subset, self.classes, self.subset)
        if not self.classes:
            raise UserError("ClassNames needs classes=('tench', ...), subset='imagewoof', or both")
        found = tuple(dict.fromkeys(meant(name) for name in self.classes))
        if len(found) < len(self.classes):
            raise UserError(f"classes={self.classes} names a class twice: {told(found)}")
        return found

    def open(self) -> RealData:
        """No picture, of these classes."""
        classes, shape = self.chosen(), (self.channels, self.size, self.size)
        nothing = StoredImages(classes, torch.empty(0, dtype=torch.long), torch.empty(0, *shape, dtype=torch.uint8))
        name = f"{len(classes)} class names" if self.subset is None else f"the class names of {self.subset}"
        return RealData(name, nothing, None, licence="names alone, no pictures")


def meant(name: str) -> Class:
    """The class that a word or a WordNet id means.

    Raises:
        UserError: nothing, or several things.
    """
    if name.startswith(AS_IT_STANDS):
        bare = name.removeprefix(AS_IT_STANDS).strip()
        if not bare:
            raise UserError(f"{name!r} names no class: write what is to be drawn after the {AS_IT_STANDS}")
        return Class(bare)
    if wordnet.WNID.fullmatch(name):
        if wordnet.words(name) is None:
            raise UserError(f"{name} is the WordNet id of nothing in ImageNet")
        return wordnet.as_class(name)
    found = wordnet.senses(name)
    if len(found) == 1:
        return wordnet.as_class(found[0])
    if found:
        raise UserError(
            f"{name!r} is the name of several things: {'; '.join(map(wordnet.entry, found))}. Give the WordNet id that is meant"
        )
    known = wordnet.find(name)  # all words of a synset, or a name of ours such as "crane (bird)"
    if known is None:
        raise UserError(
            f"nothing of ImageNet is called {name!r}: {nearest(name, wordnet.every_word())}\nTo draw it as it stands, write "
            f"'{AS_IT_STANDS}{name}'"
        )
    return known


def told(classes: Sequence[Class]) -> str:
    """The classes in a row."""
    return ", ".join(map(str, classes))
