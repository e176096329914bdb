"""What is held out: the folds of the digits, and validation pictures in place of the test set."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gendistill.data.digits import Digits, folds
from gendistill.data.folder import Folder
from gendistill.data.given import as_source
from gendistill.data.validation import Validation
from gendistill.images import StoredImages
from gendistill.types import Class, RealData, UserError

from .conftest import make_folder, make_table


def test_the_digits_are_dealt_into_five_stratified_folds():
    seen = []
    for fold in range(5):
        data = Digits(fold=fold).open()
        test = data.test()
        assert len(data.train) + len(test) == 1797
        assert data.classes[3] == Class("3") and data.train.shape == (1, 16, 16)
        shares = torch.bincount(test.labels) / (torch.bincount(test.labels) + torch.bincount(data.train.labels))
        assert (shares - 0.2).abs().max() < 0.005
        seen.append(len(test))
    assert sum(seen) == 1797


def test_the_digits_keep_their_range_and_size():
    images = Digits(size=None).open().train
    assert images.shape == (1, 8, 8)
    stored = images.stored(range(len(images)))
    assert stored.min() == 0 and stored.max() == 255


def test_folds_are_the_same_everywhere():
    assert folds(torch.tensor([0, 1] * 6)).tolist() == folds(torch.tensor([0, 1] * 6)).tolist()
    assert folds(torch.zeros(10, dtype=torch.long)).bincount().tolist() == [2] * 5


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_out_of_range_is_told(fold):
    with pytest.raises(UserError, match="0 to 4"):
        Digits(fold=fold)


@dataclasses.dataclass(frozen=True)
class Sealed:
    """Real data whose test set must stay closed."""

    def open(self) -> RealData:
        labels = torch.arange(40) % 2
        stored = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1)

        def test():
            raise AssertionError("the test set was opened")

        return RealData("sealed", StoredImages([Class("a"), Class("b")], labels, stored), test, licence="free")


def test_validation_holds_out_a_part_of_each_class_and_never_opens_the_test_set():
    data = Validation(Sealed(), fraction=0.25).open()
    held = data.test()
    assert data.split == "val" and data.licence == "free"
    assert held.labels.bincount().tolist() == [5, 5] and data.train.labels.bincount().tolist() == [15, 15]
    kept, out = (set(images.stored(range(len(images))).flatten().tolist()) for images in (data.train, held))
    assert kept | out == set(range(40)) and not kept & out


def test_validation_follows_its_seed():
    prints = [Validation(Sealed(), seed=seed).open().test().fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_validation_takes_objects_too():
    assert len(Validation(as_source(make_table(["a", "b"], each=5))).open().test()) == 2


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_fraction_that_holds_out_nothing_or_everything_is_refused(fraction):
    with pytest.raises(UserError, match="between 0 and 1"):
        Validation(Sealed(), fraction=fraction)


def test_a_class_with_one_picture_cannot_be_split(tmp_path):
    with pytest.raises(UserError, match="too few training pictures of a"):
        Validation(Folder(make_folder(tmp_path / "train", ["a", "b"], each=1))).open()
