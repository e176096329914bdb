"""Sets that others made, as `Distilled` values: image folders, Parquet, hub ids, and the .pt files of matching methods."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import torch
from torch import Tensor

from gendistill.data.folder import Folder
from gendistill.data.hub import Hub
from gendistill.data.parquet import Parquet
from gendistill.distilled import Distilled, load
from gendistill.images import StoredImages, Subset, content
from gendistill.labelers import stored
from gendistill.labelers.relabel import StaticLabels
from gendistill.store import fingerprint
from gendistill.types import Class, Images, LogProbs, RealData, SoftLabels, UserError

log = logging.getLogger("gendistill")
PAIRS = (("images", "labels"), ("data", "targets"), ("x", "y"), ("image_syn", "label_syn"))
"""Names under which .pt files hold images and labels."""


def read(path: str, real: RealData) -> Distilled:
    """The set at ``path``, its classes in the order of ``real``.

    Raises:
        UserError: nothing readable is there, or its classes or shape are not those of the real data.
    """
    place = Path(path)
    if (place / "set.json").exists() or (place / "run.json").exists():
        made = load(place)
    elif place.suffix in (".pt", ".pth"):
        made = Distilled.of(read_pt(place, real))
    else:
        made = table_or_folder(path, place, real)
    return aligned(made, real, path)


def table_or_folder(path: str, place: Path, real: RealData) -> Distilled:
    """A Parquet file, a folder of them (such as our own export), a folder of class folders, or a data set of the hub."""
    frame: dict[str, Any] = {
        "size": real.train.shape[-1],
        "channels": real.train.shape[0] if real.train.shape[0] in (1, 3, 4) else None,
    }
    if place.is_file() and place.suffix == ".parquet":
        files: list[Path] = [place]
    else:
        files = sorted(place.glob("data/train-*.parquet")) or sorted(place.glob("*.parquet")) if place.is_dir() else []
    if files:
        return rows_of(files, place, frame)
    if place.is_dir():
        inside = place / "train" if (place / "train").is_dir() else place
        return Distilled.of(Folder(train=str(inside), **frame).open().train)
    if place.exists():
        raise UserError(f"{path} is no set of pictures: give a run, an image folder, .parquet, .pt, or a hub id")
    return Distilled.of(Hub(path, **frame).open().train)


def exported(folder: str | Path) -> Distilled:
    """A set that `gendistill.export` wrote, as it was, with whatever labels are there.

    Raises:
        UserError: there is none, or its labels are of another set.
    """
    place = Path(folder)
    files = sorted(place.glob("data/train-*.parquet"))
    if not files:
        raise UserError(f"no exported set in {place}: there is no {place / 'data'}/train-*.parquet")
    return rows_of(files, place, {})


def rows_of(files: Sequence[Path], place: Path, frame: Mapping[str, Any]) -> Distilled:
    """The set in Parquet files, with the soft labels beside its pictures, or in the folder they are in."""
    images = Parquet(train=[str(file) for file in files], **frame).open().train
    if (place / "labels.json").is_file():
        return with_labels_of_views(images, files, place)
    return with_soft_labels(Distilled.of(images), files)


def with_labels_of_views(images: Images, files: Sequence[Path], place: Path) -> Distilled:
    """The set in the order it was exported from, which its views follow from, and their labels.

    Raises:
        UserError: the labels are of other pictures.
    """
    told = json.loads((place / "labels.json").read_text())
    columns = pyarrow.concat_tables(parquet.read_table(file, columns=["position"]) for file in files)
    made = Distilled.of(Subset(images, torch.from_numpy(columns["position"].to_numpy()).argsort()))
    if told.get("online"):
        log.info("%s has soft labels by teachers, which are not in it: its labels are the hard ones", place)
        return made
    if told["pictures"] != content(made.images):
        raise UserError(
            f"the labels in {place} are of other pictures than these {len(images)}, or of another size of them: export the set "
            "again, or delete labels.json to use hard labels"
        )
    return replace(made, soft=stored.read(place, told, made.images))


def with_soft_labels(made: Distilled, files: Sequence[Path]) -> Distilled:
    """The set with the log-probabilities its files hold, if they hold any."""
    schema = parquet.read_schema(files[0])
    if "log_probs" not in schema.names:
        return made
    table = pyarrow.concat_tables(parquet.read_table(file, columns=["log_probs"]) for file in files)
    flat = table["log_probs"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    count = len(made.images) * len(made.classes)
    found = (
        torch.from_numpy(flat.copy()).float().view(len(made.images), -1) if flat.size == count else torch.zeros(1, 1)
    )
    if not bool(found.exp().sum(1).sub(1).abs().lt(1e-3).all()):
        raise UserError(f"log_probs in {files[0].name} are no log-probabilities over the {len(made.classes)} classes")
    ours = json.loads((schema.metadata or {}).get(b"gendistill", b"{}"))
    return replace(made, soft=StaticLabels.of(found, float(ours.get("temperature", 1.0))))


def read_pt(place: Path, real: RealData) -> Images:
    """Images and labels that a matching method saved with ``torch.save``, as tensors only.

    Float images outside [0, 1] were normalised by the data's mean and deviation, as these methods do; that is undone.
    """
    try:
        held = torch.load(place, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways, all of them the file's
        raise UserError(
            f"{place} does not load as tensors ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "save a dictionary with the tensors 'images' (n, c, h, w) and 'labels' (n,)"
        ) from error
    images, labels = pair(held, place)
    if images.dim() != 4 or tuple(images.shape[1:]) != real.train.shape:
        raise UserError(
            f"{place} holds images of shape {tuple(images.shape)}, the real pictures are {real.train.shape}; "
            "give --real with the size= and channels= of the set"
        )
    if labels.dim() == 2:
        labels = labels.argmax(1)
    if labels.shape != images.shape[:1] or int(labels.min()) < 0 or int(labels.max()) >= len(real.classes):
        raise UserError(
            f"{place} holds labels of shape {tuple(labels.shape)} from {int(labels.min())} to {int(labels.max())} for "
            f"{len(images)} images of {len(real.classes)} classes"
        )
    if images.dtype != torch.uint8:
        images = images.float()
        if float(images.min()) < -0.01 or float(images.max()) > 1.01:
            from gendistill.context import channel_statistics

            found = channel_statistics(real.train)
            log.info("%s holds normalised images; mean and deviation of the real pictures are put back", place)
            images = images * found["std"].view(1, -1, 1, 1) + found["mean"].view(1, -1, 1, 1)
        images = images.clamp(0, 1).mul(255).round().to(torch.uint8)
    return StoredImages(real.classes, labels.long(), images)


def pair(held: Any, place: Path) -> tuple[Tensor, Tensor]:
    """The images and labels in what a file holds: a dictionary, a pair, or a list of pairs of which the last counts."""
    if isinstance(held, Mapping):
        for images, labels in PAIRS:
            if isinstance(held.get(images), Tensor) and isinstance(held.get(labels), Tensor):
                return held[images], held[labels]
        if isinstance(held.get("data"), list | tuple):  # DC, DSA, DM: [[images, labels], ...], one per experiment
            return pair(held["data"], place)
    if isinstance(held, list | tuple) and held:
        if len(held) == 2 and all(isinstance(item, Tensor) for item in held):
            return held[0], held[1]
        return pair(held[-1], place)
    names = ", ".join(f"'{a}' and '{b}'" for a, b in PAIRS)
    raise UserError(f"{place} holds no tensors of images and labels; looked for {names}, or a pair of tensors")


def aligned(made: Distilled, real: RealData, path: str) -> Distilled:
    """The set with its classes renumbered to the order of the real data, by WordNet id and name."""
    if made.images.shape != real.train.shape:
        raise UserError(
            f"{path} holds pictures of shape {made.images.shape}, the real ones are {real.train.shape}; "
            "set size= and channels= in --real"
        )
    if made.classes == real.classes:
        return made
    place = {identity(c): index for index, c in enumerate(real.classes)}
    missing = [str(c) for c in made.classes if identity(c) not in place]
    if missing or len(made.classes) != len(real.classes):
        raise UserError(
            f"{path} has {len(made.classes)} classes, the real data {len(real.classes)}; "
            f"not among them: {', '.join(missing[:8]) or 'none'}"
        )
    order = torch.tensor([place[identity(c)] for c in made.classes])
    images = Renumbered(made.images, real.classes, order[made.images.labels])
    ours = Distilled.of(images)
    return replace(
        ours, soft=ours.soft if made.soft.kind == "hard" else Reordered(made.soft, order), weight=made.weight
    )


class Reordered(SoftLabels):
    """Labels whose classes were renumbered."""

    def __init__(self, soft: SoftLabels, order: Tensor) -> None:
        """``order`` (k,): class i is now called ``order[i]``."""
        self.kind, self.temperature, self.views, self._soft, self._order = (
            soft.kind,
            soft.temperature,
            soft.views,
            soft,
            order,
        )

    @property
    def bytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As before."""
        return self._soft.bytes

    @property
    def fingerprint(self) -> str:
        """Of the labels and the order."""
        return fingerprint(self._soft.fingerprint, self._order)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """The same numbers in the other order."""
        found = self._soft.at(positions, view)
        return torch.empty_like(found).index_copy_(1, self._order.to(found.device), found)

    def view(self, epoch: int) -> int:
        """As before."""
        return self._soft.view(epoch)

    def temperature_at(self, epoch: int) -> float:
        """As before."""
        return self._soft.temperature_at(epoch)

    def save(self, folder: Path) -> dict[str, object]:
        """Refuse: a set of others is read, not written."""
        raise NotImplementedError("labels that were renumbered belong to a set that is elsewhere")


def identity(c: Class) -> str:
    """What a class is known by."""
    return c.wnid or c.name.strip().lower()


class Renumbered(Images):
    """The same pictures with other class numbers."""

    def __init__(self, images: Images, classes: tuple[Class, ...], labels: Tensor) -> None:
        """``labels`` (N,) number into ``classes``."""
        from gendistill.store import fingerprint

        self._images, self.classes, self.labels, self.shape = images, classes, labels, images.shape
        self.fingerprint = fingerprint(images.fingerprint, [str(c) for c in classes], labels)

    def stored(self, indices: Sequence[int] | Tensor) -> Tensor:
        """8-bit pictures at these positions."""
        return self._images.stored(indices)
