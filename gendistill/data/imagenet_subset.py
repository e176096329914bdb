"""ImageNet and the subsets of it that the field distils, from a folder of class folders or from the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from gendistill.data.catalogue import CATALOGUE, chosen_classes, subset_classes
from gendistill.data.folder import index_files, picture_files
from gendistill.data.messages import existing, listed
from gendistill.data.pictures import Frame
from gendistill.data.reading import Index, opened
from gendistill.data.values import keep_plain
from gendistill.types import Class, RealData, UserError
from gendistill.wordnet import resolve

HELD_OUT = ("val", "validation", "valid", "test")
LICENCE = "ImageNet: non-commercial research and education only, https://www.image-net.org/download"


@dataclass(frozen=True)
class ImageNetSubset:
    """A subset of ImageNet from the catalogue, or ``imagenet-1k``. Labels follow WordNet ids, never positions.

    name          of the subset, see `catalogue`
    root          a folder with ``train/<wnid>`` and ``val/<wnid>``, of the subset or of the whole of ImageNet. The val
                  pictures are the test set; Tiny ImageNet's ``val/val_annotations.txt`` is read too. With ``<wnid>``
                  directly in it, it holds training pictures alone
    hub           instead, a data set of the hub, or a downloaded copy's folder, whose labels are WordNet ids or words;
                  its validation split is the test set
    classes       only these of its classes, by WordNet id or name
    size          side of the square pictures are brought to, in pixels; None keeps them
    channels      3, because some pictures of ImageNet are grey or CMYK; 1 grey, 4 RGBA, None keeps what they have
    skip_corrupt  leave out pictures that cannot be read, which decodes all of them first
    """

    name: str
    _: KW_ONLY
    root: str | Path | None = None
    hub: str | None = None
    classes: tuple[str, ...] | None = None
    size: int | None = None
    channels: int | None = 3
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        Frame(self.size, self.channels)
        keep_plain(self, "root", "classes")
        self.chosen()

    def chosen(self) -> tuple[Class, ...]:
        """The classes, in index order."""
        classes = subset_classes(self.name)
        return classes if self.classes is None else chosen_classes(classes, self.classes, self.name)

    def open(self) -> RealData:
        """List the files of these classes, or index their rows."""
        if (self.root is None) == (self.hub is None):
            given = "neither" if self.root is None else "both"
            raise UserError(
                f"{self.name} needs either root=DIR, a folder with train/<wnid> and val/<wnid>, or "
                f"hub='owner/name'; {given} was given"
            )
        if self.root is not None:
            train, test = _from_folder(existing(self.root, "root"), self.chosen())
        else:
            train, test = self._from_hub(str(self.hub))
        frame = Frame(self.size, self.channels)
        return opened(self.name, train, test, frame, skip_corrupt=self.skip_corrupt, licence=LICENCE)

    def _from_hub(self, id: str) -> tuple[Index, Index | None]:
        from gendistill.data.hub import load_splits, split_of  # imports datasets, which a folder does without
        from gendistill.data.table import index_table

        splits = load_splits(id)
        names = ["train", *[name for name in HELD_OUT if name in splits][:1]]
        sides = [
            self._of_labels(index_table(split_of(splits, name, id), None, None, f"{id} ({name})")) for name in names
        ]
        return sides[0], sides[1] if len(sides) > 1 else None

    def _of_labels(self, index: Index) -> Index:
        """The pictures of the chosen classes, which the labels call by WordNet id or words.

        Raises:
            UserError: a chosen class has no label, or several.
        """
        aliases = CATALOGUE[self.name].aliases if self.name in CATALOGUE else {}
        said = [aliases.get(c.wnid, c.wnid) if c.wnid else c.name for c in index.classes]
        meant = tuple(found or c for found, c in zip(resolve(said), index.classes, strict=True))
        missing = [c for c in self.chosen() if c not in meant]
        if missing:
            raise UserError(
                f"{index.where} has no label for {listed(missing)} of {self.name}; its labels are "
                f"{listed(index.classes)}"
            )
        counted = Counter(meant)
        for c in self.chosen():
            if counted[c] > 1:
                labels = (label for label, one in zip(index.classes, meant, strict=True) if one == c)
                raise UserError(
                    f"{index.where} has several labels for {c} of {self.name}: {listed(labels)}; say which is which by "
                    "making its labels WordNet ids, or leave the class out: classes=(...)"
                )
        return Index(index.raw, meant, index.labels, index.where).only(self.chosen())


def _from_folder(root: Path, classes: Sequence[Class]) -> tuple[Index, Index | None]:
    if not (root / "train").is_dir():
        return _class_folders(root, classes), None
    held_out = next((root / name for name in HELD_OUT if (root / name).is_dir()), None)
    if held_out is None:
        test = None
    elif (held_out / "val_annotations.txt").is_file():
        test = _annotated(held_out, classes)
    else:
        test = _class_folders(held_out, classes)
    return _class_folders(root / "train", classes), test


def _class_folders(root: Path, classes: Sequence[Class]) -> Index:
    """The files below ``root/<wnid>`` of each class."""
    missing = [c for c in classes if not (root / str(c.wnid)).is_dir()]
    if missing:
        raise UserError(
            f"{root} lacks the class folder{'s' if len(missing) > 1 else ''} of {listed(missing)}; each "
            "class has a folder named by its WordNet id"
        )
    return index_files(root, {c: picture_files(root, str(c.wnid)) for c in classes})


def _annotated(root: Path, classes: Sequence[Class]) -> Index:
    """The files in ``root/images``, whose classes ``val_annotations.txt`` gives: file name, WordNet id, box."""
    paths: dict[Class, list[str]] = {c: [] for c in classes}
    by_wnid = {c.wnid: found for c, found in paths.items()}
    for line in (root / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        if wnid in by_wnid:
            by_wnid[wnid].append(f"images/{name}")
    return index_files(root, paths)
