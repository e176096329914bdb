"""Labels of a finished set, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendistill.labelers.alternate import AlternatingLabels
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.interpolate import InterpolatedLabels
from gendistill.labelers.relabel import FILE, StaticLabels
from gendistill.labelers.relabel_views import ViewLabels
from gendistill.system.store import fingerprint_file, read_tensors
from gendistill.types import Images, SoftLabels, UserError


def read(folder: Path, told: Mapping[str, Any], images: Images) -> SoftLabels:
    """The labels that `SoftLabels.save` wrote; ``told`` is what it returned. Online ones need their recipe.

    Raises:
        UserError: they are of another set, not all there, or of a kind that is not read here.
    """
    if told.get("set", images.fingerprint) != images.fingerprint:
        raise UserError(
            f"the pictures in {folder} are not those its labels were made for: put them back, or label them anew"
        )
    found = _read(folder, told, images)
    return AlternatingLabels(found, images, value(told["phases"])) if "phases" in told else found


def _read(folder: Path, told: Mapping[str, Any], images: Images) -> SoftLabels:
    classes, kind = len(images.classes), kind_of(told)
    if kind == "hard":
        return HardLabels(images.labels, classes)
    if kind not in ("soft", "views"):
        raise UserError(f"{folder} has labels of the kind {kind!r}, which are not read from files: label its set anew")
    files, temperature, loss = files_of(folder, told), told["temperature"], value(told.get("loss", "None"))
    codec = value(told["codec"]) if "codec" in told else Single()
    if kind == "soft":
        static = StaticLabels(read_tensors(files[0]), classes, temperature, codec, loss)
        check(folder, len(static.log_probs), images)
        return InterpolatedLabels(static, value(told["views"]), images) if "views" in told else static
    found = ViewLabels(files, value(told["views"]), classes, temperature, codec, value(told["cooling"]), loss)
    check(folder, found.pictures, images)
    if found.count != told.get("count", found.count):
        raise UserError(
            f"{folder} holds labels of {found.count} views, of {told['count']} that were written: label its set anew"
        )
    return found


def kind_of(told: Mapping[str, Any]) -> str:
    """As it is told. Sets that do not tell it yet tell their codec where labels are soft, and what else there is to know."""
    if "kind" in told:
        return told["kind"]
    if told.get("online"):
        return "online"
    return "views" if "cooling" in told else "soft" if "codec" in told else "hard"


def files_of(folder: Path, told: Mapping[str, Any]) -> list[Path]:
    """The files of the labels, in their order.

    Raises:
        UserError: one of them is missing, or another than was written.
    """
    named = told.get("files")
    if named is None:
        shards = sorted((folder / "labels").glob("*.safetensors"))
        named = [FILE] if kind_of(told) == "soft" else [f"labels/{file.name}" for file in shards]
    missing = [name for name in named if not (folder / name).is_file()] or ([] if named else ["labels"])
    if missing:
        raise UserError(
            f"the labels of {folder} are not all there, {', '.join(missing[:3])} is missing: put it back, or label the set anew"
        )
    found = [folder / name for name in named]
    if told.get("prints", prints := [fingerprint_file(file) for file in found]) != prints:
        raise UserError(
            f"the labels in {folder} are not those that were written there: they are of another set, or broken; put them back, or "
            "label the set anew"
        )
    return found


def check(folder: Path, count: int, images: Images) -> None:
    """Refuse labels of a set of another size."""
    if count != len(images):
        raise UserError(
            f"{folder} holds labels of {count} pictures, and there are {len(images)}: they are of another set"
        )


def value(text: str) -> Any:
    """Settings from the code that makes them."""
    from gendistill.config.overrides import read_value  # imports every part

    return read_value(text)
