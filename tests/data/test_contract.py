"""What every source must do. They are found by walking the folder: a new one only needs an example below."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gendistill.data
from gendistill.data.catalogue import subset_classes
from gendistill.data.class_names import ClassNames
from gendistill.data.digits import Digits
from gendistill.data.folder import Folder
from gendistill.data.given import Given, as_source
from gendistill.data.hub import Hub
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.data.parquet import Parquet
from gendistill.data.validation import Validation
from gendistill.types import Source

from .conftest import make_folder, make_parquet, make_table

CLASSES = ("cat", "dog", "n01440764")


def folder(root: Path) -> Source:
    return Folder(make_folder(root / "train", CLASSES), test=make_folder(root / "test", CLASSES, seed=7))


def parquet(root: Path) -> Source:
    return Parquet(make_parquet(root, {"train": make_table(CLASSES), "test": make_table(CLASSES, seed=7)}))


def hub(root: Path) -> Source:
    return Hub(str(make_parquet(root, {"train": make_table(CLASSES), "test": make_table(CLASSES, seed=7)})))


def given(root: Path) -> Source:
    return Given(make_table(CLASSES), test=make_table(CLASSES, seed=7))


def imagenet(root: Path) -> Source:
    wnids = [str(c.wnid) for c in subset_classes("imagenette")]
    for side in ("train", "val"):
        make_folder(root / side, wnids, each=2, seed=len(side))
    return ImageNetSubset("imagenette", root=root, size=8)


EXAMPLES: dict[type, Callable[[Path], Source]] = {
    Digits: lambda root: Digits(),
    Folder: folder,
    Given: given,
    Hub: hub,
    ImageNetSubset: imagenet,
    Parquet: parquet,
    Validation: lambda root: Validation(folder(root), fraction=0.3),
}


def sources() -> list[type]:
    modules = [
        importlib.import_module(f"gendistill.data.{found.name}")
        for found in pkgutil.iter_modules(gendistill.data.__path__)
    ]
    return [
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and item.__module__ == module.__name__ and hasattr(item, "open")
    ]


def test_every_source_has_an_example():
    assert set(sources()) == {*EXAMPLES, ClassNames}, "ClassNames has no pictures, and tests of its own"


@pytest.fixture(params=EXAMPLES.values(), ids=[source.__name__ for source in EXAMPLES])
def source(request, tmp_path) -> Source:
    return request.param(tmp_path)


def test_a_source_is_a_value(source):
    assert isinstance(source, Source)
    assert dataclasses.is_dataclass(source)
    assert source == dataclasses.replace(source)  # type: ignore
    assert hash(source) == hash(dataclasses.replace(source))  # type: ignore
    assert as_source(source) is source
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.size = 3


def test_images_are_labelled_8_bit_pictures_of_one_shape(source):
    data = source.open()
    assert data.name and data.licence and data.split in ("test", "val")
    for images in (data.train, data.test()):
        assert images.classes == data.classes
        assert len(set(images.classes)) == len(images.classes)
        assert images.labels.dtype == torch.int64 and len(images) == len(images.labels)
        assert images.labels.unique().tolist() == list(range(len(images.classes)))
        stored = images.stored(range(len(images)))
        assert stored.dtype == torch.uint8 and stored.shape == (len(images), *images.shape)
        pixels = images.pixels([0])
        assert pixels.dtype == torch.float32 and 0 <= pixels.min() and pixels.max() <= 1


def test_reading_is_by_position_and_repeatable(source):
    images = source.open().train
    everything = images.stored(range(len(images)))
    assert images.stored([]).shape == (0, *images.shape)
    assert torch.equal(images.stored([3, 0, 3]), everything[[3, 0, 3]])
    for index in range(len(images.classes)):
        assert torch.equal(images.stored(images.where(index)), everything[images.labels == index])
    again = source.open().train
    assert torch.equal(again.stored(range(len(again))), everything)
    assert torch.equal(again.labels, images.labels)


def test_the_fingerprint_follows_from_the_pictures(source):
    data, again = source.open(), source.open()
    assert data.train.fingerprint == again.train.fingerprint
    assert data.test().fingerprint != data.train.fingerprint
    inner = source.real if isinstance(source, Validation) else source
    resized = dataclasses.replace(inner, size=9)
    assert resized.open().train.shape[1:] == (9, 9)
    assert resized.open().train.fingerprint != inner.open().train.fingerprint
