"""The .pt files of matching methods, as sets: pictures in any of the ranges these methods use, and classes or probabilities."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gendistill.context import channel_statistics
from gendistill.distilled import Distilled
from gendistill.images import StoredImages
from gendistill.labelers.relabel import StaticLabels
from gendistill.types import RealData, UserError

log = logging.getLogger("gendistill")
PAIRS = (("images", "labels"), ("data", "targets"), ("x", "y"), ("image_syn", "label_syn"))
"""Names under which .pt files hold images and labels."""
EDGE = 0.01
"""How far numbers may be outside a range and still count as in it."""
LEARNED = 0.3
"""How far learned pictures that were scaled to [-1, 1] commonly leave it: nothing keeps a learned number in its range."""


def read_pt(place: Path, real: RealData) -> Distilled:
    """Images and labels that a matching method saved with ``torch.save``, as tensors only.

    Numbers are in [0, 1], or in [0, 255], or else were normalised by the data's mean and deviation, as these methods do; that is
    undone. Learned pictures may leave the range of pictures, and are clipped to it: a warning says how much of them. Whitened ones
    cannot be known from others. Labels are classes, or probabilities, which the set has as soft labels of its own.

    Raises:
        UserError: it holds something else.
    """
    try:
        held = torch.load(place, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways, all of them the file's
        first = "".join(str(error).splitlines()[:1])  # an empty file's error says nothing
        raise UserError(
            f"{place} does not load as tensors ({type(error).__name__}{first and ': '}{first}); "
            "save a dictionary with the tensors 'images' (n, c, h, w) and 'labels' (n,)"
        ) from error
    images, labels = (one.detach() for one in pair(held, place))
    if images.dim() != 4 or tuple(images.shape[1:]) != real.train.shape:
        raise UserError(
            f"{place} holds images of shape {tuple(images.shape)}, the real pictures are {real.train.shape}; "
            "give --real with the size= and channels= of the set"
        )
    if not len(images):
        raise UserError(f"{place} holds no pictures: its images are of shape {tuple(images.shape)}")
    count, classes = len(images), len(real.classes)
    if tuple(labels.shape) not in ((count,), (count, classes)):
        raise UserError(
            f"{place} holds labels of shape {tuple(labels.shape)} for {count} images of {classes} classes: save the class of each, "
            f"({count},), or its probabilities, ({count}, {classes})"
        )
    if labels.dim() == 2:
        check_probabilities(labels.float(), place)
    else:
        check_classes(labels, classes, place)
    hard = labels.argmax(1) if labels.dim() == 2 else labels.long()
    stored = images if images.dtype == torch.uint8 else as_stored(images, place, real)
    pictures = StoredImages(real.classes, hard, stored)
    if labels.dim() == 1 or bool((labels == torch.nn.functional.one_hot(hard, classes)).all()):
        return Distilled.of(pictures)
    return Distilled.of(pictures, StaticLabels.of(labels.float().log(), 1.0))


def check_classes(labels: Tensor, classes: int, place: Path) -> None:
    """Refuse numbers (n,) that are not all one of so many classes; to cut 1.5 to 1 would be to guess.

    Raises:
        UserError: they are fractions, not finite, negative or too large.
    """
    said = labels.double()
    wrong = ~((said >= 0) & (said < classes) & (said == said.floor()))  # so that NaN is wrong, too
    if bool(wrong.any()):
        found = ", ".join(f"{value:g}" for value in said[wrong].unique().tolist()[:6])
        raise UserError(
            f"{place} holds labels that are no classes: {found}; the {classes} classes of the real data are 0 to {classes - 1}"
        )


def check_probabilities(said: Tensor, place: Path) -> None:
    """Refuse numbers (n, k) that are no probabilities over the k classes.

    Raises:
        UserError: they are negative or not finite, or do not sum to 1.
    """
    right = (said >= 0).all(1) & ((said.sum(1) - 1).abs() <= 1e-3)  # which NaN is not
    if not bool(right.all()):
        row = int(torch.nonzero(~right)[0])
        raise UserError(
            f"{place} holds labels of shape {tuple(said.shape)} that are no probabilities over {said.shape[1]} classes: those of "
            f"picture {row} are from {float(said[row].min()):.4g} to {float(said[row].max()):.4g} and sum to "
            f"{float(said[row].sum()):.4g}; save their softmax at the temperature that the method's students learn them at, or the "
            "classes, labels.argmax(1)"
        )


def as_stored(images: Tensor, place: Path, real: RealData) -> Tensor:
    """The 8-bit pictures that numbers of another type stand for.

    Numbers of both signs within [-1, 1], or as little outside as learned ones are, may have been scaled to it or normalised. What
    normalised pictures of the data can reach does not decide: learned ones leave it by as much, and dim ones do not fill it. So
    such numbers are refused, unless both readings are of the same pictures, as for data of mean and deviation 1/2.

    Raises:
        UserError: they are not finite, or it cannot be told what they stand for.
    """
    images = images.float()
    if not bool(images.isfinite().all()):
        raise UserError(f"{place} holds images with numbers that are not finite")
    low, high = float(images.min()), float(images.max())
    if low >= -EDGE and 2 < high <= 255 + EDGE:
        images = images / 255
    elif low < -EDGE:
        scaled = (images + 1) / 2
        found = channel_statistics(real.train)
        images = images * found["std"].view(1, -1, 1, 1) + found["mean"].view(1, -1, 1, 1)
        same = bool(((scaled - images).abs() <= EDGE).all())
        if -1 - LEARNED <= low and high <= 1 + LEARNED and not same:
            raise UserError(
                f"{place} holds numbers from {low:.2f} to {high:.2f}: were they scaled to [-1, 1], normalised by mean and "
                "deviation, or learned beyond [0, 1]? Save them in [0, 1]"
            )
        log.info("%s holds normalised images; mean and deviation of the real pictures are put back", place)
    beyond = (images - images.clamp(0, 1)).abs() > EDGE
    if bool(beyond.any()):
        log.warning(
            "%.1f %% of the numbers of %s lie outside the range of pictures, and are clipped: sets are judged as 8-bit pictures",
            100 * float(beyond.float().mean()), place,
        )  # fmt: skip
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


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
