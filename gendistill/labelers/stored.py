"""Labels of a finished set, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.relabel import StaticLabels
from gendistill.labelers.relabel_views import ViewLabels
from gendistill.store import read_tensors
from gendistill.types import Images, SoftLabels


def read(folder: Path, told: Mapping[str, Any], images: Images) -> SoftLabels:
    """The labels that `SoftLabels.save` wrote; ``told`` is what it returned. Online ones need their recipe."""
    classes, temperature = len(images.classes), told["temperature"]
    codec = value(told["codec"]) if "codec" in told else Single()
    if "views" in told:
        shards = sorted((folder / "labels").glob("*.safetensors"))
        return ViewLabels(shards, value(told["views"]), classes, temperature, codec, value(told["cooling"]))
    if (folder / "labels.safetensors").exists():
        return StaticLabels(read_tensors(folder / "labels.safetensors"), classes, temperature, codec)
    return HardLabels(images.labels, classes)


def value(text: str) -> Any:
    """Settings from the code that makes them."""
    from gendistill.overrides import read_value  # imports every part

    return read_value(text)
