"""Folders of image files, one sub-folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import torch

from gendistill.data.messages import existing, listed
from gendistill.data.pictures import Frame, Picture, read_file
from gendistill.data.reading import PARTS, Index, Raw, named_after, opened
from gendistill.data.values import keep_plain
from gendistill.types import Class, RealData, UserError
from gendistill.wordnet import as_class

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm .pgm .npy".split())


@dataclass(frozen=True)
class Folder:
    """Image files, or ``.npy`` arrays (c, h, w), in one sub-folder per class.

    A class is its folder's name, and a name that is a WordNet id is read as its synset. Files may lie deeper;
    hidden ones and those of another kind (boxes, lists) are passed over.

    train         the folder of the training pictures
    test          the folder of the test pictures, with the same sub-folders, or None
    size          side of the square pictures are brought to, in pixels; None keeps them
    channels      1 grey, 3 RGB, 4 RGBA; None keeps what they have
    skip_corrupt  leave out files that cannot be read, which decodes all of them first
    licence       of the pictures, for the card of what is made from them
    """

    train: str | Path
    _: KW_ONLY
    test: str | Path | None = None
    size: int | None = None
    channels: int | None = None
    skip_corrupt: bool = False
    licence: str = "unknown"

    def __post_init__(self) -> None:
        Frame(self.size, self.channels)
        keep_plain(self, "train", "test")

    def open(self) -> RealData:
        """List the files of both sides."""
        train = existing(self.train, "train")
        test = None if self.test is None else existing(self.test, "test")
        return opened(
            named_after(train),
            index_folders(train, class_folders(train)),
            None if test is None else index_folders(test, class_folders(test)),
            Frame(self.size, self.channels),
            skip_corrupt=self.skip_corrupt,
            licence=self.licence,
        )


class Files(Raw):
    """Pictures in files."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        """The files at ``paths``, relative to ``root``."""
        self._root, self._paths = root, paths

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, position: int) -> str:
        """The path below the root."""
        return self._paths[position]

    def read(self, position: int) -> Picture:
        """The picture in this file."""
        return read_file(self._root / self._paths[position])

    def sizes(self) -> list[int]:
        """Sizes of the files."""
        return [os.stat(self._root / path).st_size for path in self._paths]

    def contents(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The bytes of these files."""
        return ((self._root / self._paths[position]).read_bytes() for position in positions)

    def take(self, positions: Sequence[int]) -> Raw:
        """The files at these positions."""
        return Files(self._root, [self._paths[position] for position in positions])


def class_folders(root: Path) -> dict[Class, str]:
    """The classes that sub-folders of ``root`` name, and the folders, in the order of their names."""
    if not root.is_dir():
        raise UserError(f"{root} is a file, not a folder with one sub-folder per class")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if names and PARTS.issuperset(name.casefold() for name in names):
        sides = f"train={str(root / names[0])!r}, test=..."
        raise UserError(f"{root} holds the sides of a data set ({listed(names)}), not its classes: give {sides}")
    unreadable = [name for name in names if name.encode(errors="ignore").decode() != name]
    if unreadable:
        raise UserError(f"{root}: the names of {listed(map(ascii, unreadable))} are not in UTF-8: rename these folders")
    if not names:
        raise UserError(f"{root} has no sub-folder: pictures are expected in one sub-folder per class")
    return {as_class(name): name for name in names}


def index_folders(root: Path, folders: Mapping[Class, str]) -> Index:
    """The files below ``root``, class by class, in the order of their paths."""
    paths = {c: picture_files(root, folder) for c, folder in folders.items()}
    empty = [folders[c] for c, found in paths.items() if not found]
    if empty:
        raise UserError(f"{root}: no picture in {listed(empty)}; files are known by {' '.join(sorted(SUFFIXES))}")
    return index_files(root, paths)


def index_files(root: Path, paths: Mapping[Class, Sequence[str]]) -> Index:
    """These files of each class."""
    labels = torch.arange(len(paths)).repeat_interleave(torch.tensor([len(found) for found in paths.values()]))
    return Index(Files(root, [p for found in paths.values() for p in found]), tuple(paths), labels, str(root))


def picture_files(root: Path, folder: str) -> list[str]:
    """Paths, relative to ``root``, of the picture files anywhere in ``folder``, sorted; links are followed."""
    found = [
        Path(path, name).relative_to(root).as_posix()
        for path, _, names in os.walk(root / folder, followlinks=True)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
    ]
    return sorted(found)
