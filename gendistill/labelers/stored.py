"""Labels of a finished set, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendistill.labelers.alternate import AlternatingLabels
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.interpolate import InterpolatedLabels
from gendistill.labelers.relabel import StaticLabels
from gendistill.labelers.relabel_views import ViewLabels
from gendistill.store import read_tensors
from gendistill.types import Images, SoftLabels, UserError


def read(folder: Path, told: Mapping[str, Any], images: Images) -> SoftLabels:
    """The labels that `SoftLabels.save` wrote; ``told`` is what it returned. Online ones need their recipe.

    Raises:
        UserError: they are of another set, or not all there.
    """
    found = _read(folder, told, images)
    return AlternatingLabels(found, images, value(told["phases"])) if "phases" in told else found


def _read(folder: Path, told: Mapping[str, Any], images: Images) -> SoftLabels:
    classes, temperature = len(images.classes), told["temperature"]
    codec = value(told["codec"]) if "codec" in told else Single()
    if (folder / "labels.safetensors").exists():
        static = StaticLabels(read_tensors(folder / "labels.safetensors"), classes, temperature, codec)
        check(folder, len(static.log_probs), images)
        return InterpolatedLabels(static, value(told["views"]), images) if "views" in told else static
    if "views" in told:
        shards = sorted((folder / "labels").glob("*.safetensors"))
        if not shards:
            raise UserError(f"the soft labels of {folder} are not in {folder / 'labels'}: label its set anew")
        found = ViewLabels(shards, value(told["views"]), classes, temperature, codec, value(told["cooling"]))
        check(folder, found.pictures, images)
        return found
    return HardLabels(images.labels, classes)


def check(folder: Path, count: int, images: Images) -> None:
    """Refuse labels of a set of another size."""
    if count != len(images):
        raise UserError(
            f"{folder} holds labels of {count} pictures, and there are {len(images)}: they are of another set"
        )


def value(text: str) -> Any:
    """Settings from the code that makes them."""
    from gendistill.overrides import read_value  # imports every part

    return read_value(text)
