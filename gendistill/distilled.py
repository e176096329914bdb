"""What comes out: pictures, their labels, and where they came from. Random real and full real sets are values of this kind too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gendistill.context import Context, open_real
from gendistill.formatting import describe, spell_bytes, spell_labels
from gendistill.labelers import stored
from gendistill.labelers.alternate import AlternatingLabels
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.online import OnlineLabels
from gendistill.running.drawn import DrawnImages
from gendistill.running.shards import ShardImages
from gendistill.system.devices import device_of
from gendistill.system.store import read_json
from gendistill.types import Class, Images, RealData, SoftLabels, UserError

if TYPE_CHECKING:
    import datasets

SET_FOLDER = re.compile(r"seed-(-?\d+)")
"""How the folder of a set is called in that of a run."""


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


def load(folder: str | Path, device: str | torch.device = "auto") -> Distilled:
    """The distilled set of a run directory, of one of its sets, or of a folder that `gendistill.export` wrote.

    Of an exported set these are its pictures, labels, weights, ids and prompts; its recipe stands in its card. Of a generator it is
    what was drawn first, and teachers that label online are not in it.

    Args:
        folder: the directory; of a set of the hub, its downloaded repository.
        device: where teachers are asked that label online, and a generator draws; "auto" takes a GPU where there is one.

    Returns:
        The set; of a run with several, that of the lowest seed.

    Raises:
        UserError: there is none, or it is not finished, or the labels are of another set.
    """
    from gendistill.config.overrides import read_value

    root, where = Path(folder), device_of(device)
    for place in (root, *set_folders(root)):
        if (place / "set.json").exists():
            return read_set(place, read_value, device=where)
    if (root / "run.json").exists():
        raise UserError(f"the run in {root} has no finished set yet; go on with --resume")
    from gendistill.evaluation.sets.foreign import exported, exported_files  # datasets with it, which no run waits for

    if exported_files(root):
        return exported(root)
    raise UserError(
        f"no run of gendistill in {root}, and no set that it exported (of the hub, download one first: `hf download ID --repo-type "
        "dataset --local-dir DIR`); `gendistill evaluate` also reads image folders, Parquet and .pt files"
    )


def set_folders(run: Path) -> list[Path]:
    """The sets of a run directory, the lowest seed first; folders that are called otherwise (a backup of one) are none."""
    named = ((SET_FOLDER.fullmatch(place.name), place) for place in (run / "sets").glob("seed-*"))
    return [place for _, place in sorted((int(match[1]), place) for match, place in named if match)]


def read_set(
    folder: Path,
    read_value: Any = None,
    *,
    recipe: Any = None,
    context: Context | None = None,
    device: str | torch.device = "cpu",
) -> Distilled:
    """A finished set from its folder. Teachers and a generator are made again when they are asked for, of the same real pictures.

    Args:
        folder: the one of the set.
        read_value: makes the recipe of its text.
        recipe: that made it, where it is known.
        context: data that are open already, for teachers that label online.
        device: where they are asked, and a generator draws, where none are.

    Raises:
        UserError: when they are asked for: the real pictures are others now, or the recipe held loaded objects.
    """
    about = read_json(folder / "set.json")
    classes = tuple(Class(**c) for c in about["classes"])
    images: Images = ShardImages(classes, [folder / "shards" / name for name in about["shards"]])
    ids, weight, prompts = images.ids, images.weight, images.prompts
    if recipe is None and read_value is not None:
        try:
            recipe = read_value(about["recipe"])
        except UserError:
            recipe = about["recipe"]  # it held loaded objects, which text cannot make again
    told = about.get("soft", {"temperature": about.get("temperature", 1.0)})
    if stored.kind_of(told) == "online":
        soft = _online(images, recipe, about, context, torch.device(device))
    else:
        soft = stored.read(folder, told, images)
    if about.get("draws", 1) > 1:
        images = DrawnImages(images, about["draws"], folder / "generator", _opened(recipe, about, torch.device(device)))
    return Distilled(images, soft, ids, weight, recipe, about["origin"], prompts)


def _online(
    images: Images, recipe: Any, about: Mapping[str, Any], context: Context | None, device: torch.device
) -> SoftLabels:
    """Labels by the recipe's teachers, who are loaded when the first are asked for; of the data, the real ones are opened."""

    def teachers() -> tuple[Ensemble, Context]:
        if recipe is None or isinstance(recipe, str):
            raise UserError(
                "the teachers of this set were loaded objects: label it anew, or use the hard labels, distilled.hard()"
            )
        opened = open_real(recipe.real, device) if context is None else context.of(())
        _check_data(opened.real, about, "label it anew, or use the hard labels, distilled.hard()")
        return recipe.labeler, replace(opened, prior=None, seed=recipe.seed, ipc=recipe.ipc)

    told = about["soft"]
    loss = stored.value(told.get("loss", "None"))
    views, known = stored.value(told["views"]), told.get("teachers", "")
    return OnlineLabels(images, views, told["temperature"], teachers, loss, known)


def among(made: Distilled, context: Context) -> Distilled:
    """The set, with online labels by teachers of the real pictures that are open, where these are those it was made of.

    Those of its recipe may be at another place now.
    """
    recipe, told = made.recipe, made.origin.get("real", {}).get("fingerprint")
    if not isinstance(made.soft, OnlineLabels) or recipe is None or isinstance(recipe, str):
        return made
    if told != context.real.train.fingerprint:
        return made
    return replace(
        made, soft=made.soft.asking(recipe.labeler, replace(context.of(()), seed=recipe.seed, ipc=recipe.ipc))
    )


def _opened(recipe: Any, about: Mapping[str, Any], device: torch.device) -> Callable[[int], Images]:
    """Draws sets by a recipe, whose data and prior are opened when the first is asked for."""

    @cache
    def draw() -> Callable[[int], Images]:
        from gendistill.running.distill import drawer, open_context

        if recipe is None or isinstance(recipe, str):
            raise UserError(
                "the recipe of this set held loaded objects: call distill() with it again to draw from its generator"
            )
        # Before a prior is trained on them.
        _check_data(open_real(recipe.real, device).real, about, "only the pictures it drew first can be had")
        return drawer(recipe, open_context(recipe, device, getattr(torch, about.get("dtype", "float32"))))

    return lambda number: draw()(number)


def _check_data(real: RealData, about: Mapping[str, Any], otherwise: str) -> None:
    """Refuse real pictures that are not those a set was made of, where it says which: what follows from them would be another."""
    made_of = about["origin"].get("real", {}).get("fingerprint")
    if made_of and real.train.fingerprint != made_of:
        raise UserError(
            f"the training pictures of {real.name} are not those this set was made of, so that its teachers or generator would be "
            f"others: bring back the pictures as they were; else {otherwise}"
        )
