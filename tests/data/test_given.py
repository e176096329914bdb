"""Objects in place of names."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from gendistill.data.digits import Digits
from gendistill.data.given import Given, as_source
from gendistill.types import Class, UserError

from .conftest import make_table, picture


class Pairs(Dataset):
    """Pictures and labels, with or without the attributes that torchvision's data sets have."""

    def __init__(self, pictures, labels, **attributes) -> None:
        self.pairs = list(zip(pictures, labels, strict=True))
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int):
        return self.pairs[index]


def pairs(**attributes) -> Pairs:
    return Pairs([picture(i) for i in range(4)], [0, 1, 0, 1], **attributes)


@pytest.mark.parametrize("loaded", [make_table(["a", "b"]), pairs()], ids=["datasets", "torch"])
def test_what_is_loaded_becomes_a_source(loaded):
    source = as_source(loaded)
    assert isinstance(source, Given)
    assert source.open().train.stored([0]).shape == (1, 3, 10, 12)


def test_a_dict_of_splits_gives_both_sides():
    both = datasets.DatasetDict(train=make_table(["a", "b"]), validation=make_table(["a", "b"], seed=7))
    data = as_source(both).open()
    assert data.test().fingerprint == Given(both["validation"]).open().train.fingerprint
    with pytest.raises(UserError, match="no split 'train'"):
        Given(datasets.DatasetDict(trainn=both["train"])).open()


@pytest.mark.parametrize("wrong", ["cifar10", Path("cifar10"), Digits, 3, None])
def test_anything_else_is_refused_with_what_would_do(wrong):
    with pytest.raises(UserError, match="Folder"):
        as_source(wrong)


def test_a_stream_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ()

    for stream in (Stream(), make_table(["a"]).to_iterable_dataset()):
        with pytest.raises(UserError, match="stream|no real data"):
            Given(stream)


def test_the_text_shows_the_pictures_but_not_where_they_are():
    one, same, other = (Given(make_table(["a", "b"], seed=seed), size=8) for seed in (0, 0, 1))
    assert one == same and hash(one) == hash(same) and repr(one) == repr(same)
    assert one != other
    assert "6 pictures of 2 classes with fingerprint " in repr(one) and "size=8" in repr(one)
    assert "cannot be used" in repr(Given(make_table(["a"]), label_column="none"))


def test_classes_of_a_torch_data_set_are_its_own_or_given():
    assert Given(pairs()).open().classes == (Class("0"), Class("1"))
    assert Given(pairs(classes=["cat", "dog"])).open().classes == (Class("cat"), Class("dog"))
    named = Given(pairs(classes=["cat", "dog"]), classes=("n01440764", "x"))
    assert named.open().classes == (Class("tench", "n01440764"), Class("x"))
    with pytest.raises(UserError, match="labels from 0 to 1, but 1 classes"):
        Given(pairs(classes=["cat"])).open()


def test_labels_are_targets_unless_these_are_transformed():
    class Counted(TensorDataset):
        targets, classes, reads = torch.arange(200) % 2, ["a", "b"], 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    many = Counted(torch.rand(200, 3, 4, 4), Counted.targets)
    assert torch.equal(Given(many).open().train.labels, Counted.targets) and many.reads < 100, "targets spare the items"
    transformed = pairs(targets=[5, 6, 5, 6], target_transform=lambda label: label - 5)
    assert Given(transformed).open().train.labels.tolist() == [0, 1, 0, 1]


def test_tensors_are_pictures_in_0_1():
    pixels = torch.rand(4, 3, 8, 8)
    images = Given(TensorDataset(pixels, torch.tensor([0, 1, 0, 1]))).open().train
    assert torch.equal(images.stored(range(4)), (pixels * 255).round().to(torch.uint8))
    normalised = TensorDataset(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(UserError, match="before any normalisation"):
        Given(normalised).open()


def test_targets_count_where_they_are_the_items_labels():
    class Turned(TensorDataset):
        targets, classes = torch.tensor([0, 0, 1, 1]), ["a", "b"]

        def __getitem__(self, index):
            return super().__getitem__(len(self) - 1 - index)

    pixels = torch.rand(4, 3, 8, 8)
    assert Given(Turned(pixels, Turned.targets)).open().train.labels.tolist() == [1, 1, 0, 0]
    few = TensorDataset(pixels[2:], torch.tensor([1, 0]))
    few.targets, few.classes = [0, 0, 1, 1], ["a", "b"]
    assert Given(few).open().train.labels.tolist() == [1, 0]


def test_classes_of_one_name_are_refused():
    twins = TensorDataset(torch.rand(3, 3, 8, 8), torch.tensor([0, 1, 2]))
    with pytest.raises(UserError, match="several classes called crane"):
        Given(twins, classes=("crane", "tench", "crane")).open()


def test_a_transform_that_is_random_at_times_is_refused():
    class Flips(torch.utils.data.Dataset):
        targets, classes = [0] * 20, ["a"]
        dice = np.random.default_rng(0)

        def __len__(self):
            return 20

        def __getitem__(self, index):
            ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
            return Image.fromarray(ramp[:, ::-1] if self.dice.random() < 0.5 else ramp), 0

    with pytest.raises(UserError, match="random transform"):
        Given(Flips()).open()


def test_random_pictures_are_refused():
    class Random(Pairs):
        def __getitem__(self, index: int):
            return Image.fromarray(np.random.default_rng().integers(0, 256, (4, 4, 3), dtype=np.uint8)), 0

    with pytest.raises(UserError, match="random transform"):
        Given(Random([0], [0])).open()


@pytest.mark.parametrize("items", [[], ["text"]])
def test_items_that_are_no_pictures_are_told(items):
    with pytest.raises(UserError, match="empty|must be"):
        Given(Pairs(items, range(len(items)))).open()


def test_skipping_the_transform_of_a_table(tmp_path):
    table = make_table(["a", "b"])
    plain = Given(table).open().train
    formatted = Given(table.with_transform(lambda rows: {"nothing": rows["label"]})).open().train
    assert formatted.fingerprint == plain.fingerprint
