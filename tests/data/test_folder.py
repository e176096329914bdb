"""Folders of files: classes by name, corrupt files, shapes that differ, and fingerprints."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest

from gendistill.data import reading
from gendistill.data.folder import Folder
from gendistill.types import Class, UserError

from .conftest import make_folder, picture


def test_the_text_of_a_source_is_the_code_that_makes_it(tmp_path):
    source = Folder(tmp_path / "train", test=tmp_path / "test", size=8)
    assert eval(repr(source)) == source == Folder(str(tmp_path / "train"), test=str(tmp_path / "test"), size=8)


def test_a_class_is_its_folder_and_a_wordnet_id_its_synset(tmp_path):
    train = make_folder(tmp_path / "train", ["dog", "cat", "n01440764", "n00000000"])
    (train / ".hidden").mkdir()
    assert Folder(train).open().classes == (
        Class("cat"),
        Class("dog"),
        Class("n00000000", "n00000000"),
        Class("tench", "n01440764"),
    )


def test_the_sides_of_a_data_set_are_no_classes(tmp_path):
    for side in ("train", "val"):
        make_folder(tmp_path / "nette" / side, ["cat", "dog"], each=1)
    with pytest.raises(UserError, match="holds the sides of a data set .*, not its classes: give train="):
        Folder(tmp_path / "nette").open()


def test_a_class_whose_name_is_no_text_is_refused(tmp_path):
    """Its name could not be written down, which would be found after all the work."""
    train = make_folder(tmp_path / "train", ["cat", "dog"], each=1)
    try:
        (train / "cat").rename(train / "caf\udce9")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(UserError, match="not in UTF-8"):
        Folder(train).open()


def test_data_are_called_by_the_folder_that_is_theirs(tmp_path):
    train = make_folder(tmp_path / "woof" / "data" / "train", ["cat", "dog"], each=1)
    assert Folder(train).open().name == "woof"


def test_files_lie_anywhere_in_the_folder_of_their_class(tmp_path):
    train = make_folder(tmp_path / "train", ["cat", "dog"], each=1)
    (train / "cat" / "images").mkdir()
    picture(5).save(train / "cat" / "images" / "a.PNG")
    (train / "cat" / "boxes.txt").write_text("0 0 1 1")
    (train / "cat" / "._0.png").write_text("not a picture")
    assert Folder(train).open().train.labels.tolist() == [0, 0, 1]


def test_the_order_of_test_folders_does_not_matter(tmp_path):
    train, test = make_folder(tmp_path / "train", ["b", "a"]), make_folder(tmp_path / "test", ["a", "b"], seed=5)
    data = Folder(train, test=test).open()
    assert data.test().classes == data.classes == (Class("a"), Class("b"))


def test_arrays_are_read_from_npy(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.full((5, 6, 7), 3, np.uint8))
    images = Folder(tmp_path).open().train
    assert images.shape == (5, 6, 7) and images.stored([0, 1]).unique().tolist() == [3]


def test_the_fingerprint_ignores_where_and_what_files_are_called(tmp_path):
    here = make_folder(tmp_path / "here", ["a", "b"])
    there = shutil.copytree(here, tmp_path / "there", copy_function=shutil.copyfile)
    (there / "a" / "0.png").rename(there / "a" / "00.png")
    same = Folder(here).open().train.fingerprint
    assert Folder(there).open().train.fingerprint == same
    picture(99).save(there / "a" / "2.png")
    assert Folder(there).open().train.fingerprint != same


def test_a_large_folder_is_fingerprinted_by_a_part_of_its_bytes(tmp_path, monkeypatch):
    train = make_folder(tmp_path / "train", ["a", "b"], each=8)
    monkeypatch.setattr(reading, "HASHED", 1000)
    before = Folder(train).open().train.fingerprint
    assert Folder(train).open().train.fingerprint == before
    (train / "a" / "3.png").write_bytes((train / "a" / "3.png").read_bytes() + b"\0")
    assert Folder(train).open().train.fingerprint != before


def test_a_corrupt_file_is_named_counted_and_left_out_if_asked(tmp_path, caplog):
    train = make_folder(tmp_path / "train", ["a", "b"])
    whole = (train / "a" / "1.png").read_bytes()
    (train / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (train / "b" / "2.png").write_text("no picture")
    images = Folder(train).open().train
    assert images.stored([0]).shape[0] == 1
    with pytest.raises(UserError, match=r"2 of the 6 .*a/1\.png.*b/2\.png.*skip_corrupt"):
        images.stored(range(6))
    with caplog.at_level(logging.WARNING, "gendistill"):
        kept = Folder(train, skip_corrupt=True).open().train
    assert kept.labels.tolist() == [0, 0, 1, 1] and kept.stored(range(4)).shape[0] == 4
    assert "2 of 6 pictures cannot be read" in caplog.text and "a/1.png" in caplog.text


def test_a_class_of_corrupt_files_alone_is_empty(tmp_path):
    train = make_folder(tmp_path / "train", ["a", "b"], each=1)
    (train / "b" / "0.png").write_text("no picture")
    with pytest.raises(UserError, match="no picture of b"):
        Folder(train, skip_corrupt=True).open()


def test_a_shape_that_differs_is_told_with_the_remedy(tmp_path):
    train = make_folder(tmp_path / "train", ["a", "b"], each=2)
    picture(1, (20, 9)).save(train / "b" / "0.png")
    picture(1, mode="L").save(train / "b" / "1.png")
    images = Folder(train).open().train
    with pytest.raises(UserError, match=r"b/0\.png is 3x9x20, but a/0\.png is 3x10x12.*size=10 would"):
        images.stored(range(4))
    with pytest.raises(UserError, match=r"b/1\.png is 1x10x12.*; channels=3 would"):
        images.stored([3])
    assert Folder(train, size=10, channels=3).open().train.stored(range(4)).shape == (4, 3, 10, 10)


def test_test_pictures_of_another_shape_are_told(tmp_path):
    train = make_folder(tmp_path / "train", ["a"])
    test = make_folder(tmp_path / "test", ["a"], size=(8, 8))
    with pytest.raises(UserError, match="3x8x8 pictures.*3x10x12 ones"):
        Folder(train, test=test).open().test()


def test_test_classes_that_disagree_are_told_before_any_work(tmp_path):
    train, test = make_folder(tmp_path / "train", ["cat", "dog"]), make_folder(tmp_path / "test", ["cat", "cow"])
    with pytest.raises(UserError, match="lacks dog and adds cow"):
        Folder(train, test=test).open()


def test_without_test_pictures_there_are_none(tmp_path):
    assert Folder(make_folder(tmp_path / "train", ["a"])).open().test is None


def test_wrong_folders_are_told(tmp_path):
    train = make_folder(tmp_path / "train", ["a", "b"])
    with pytest.raises(UserError, match="did you mean 'train'"):
        Folder(tmp_path / "trian").open()
    with pytest.raises(UserError, match="nor does the folder"):
        Folder(tmp_path / "none" / "train").open()
    with pytest.raises(UserError, match="no sub-folder"):
        Folder(train / "a").open()
    with pytest.raises(UserError, match="is a file"):
        Folder(train / "a" / "0.png").open()
    (train / "empty").mkdir()
    with pytest.raises(UserError, match="no picture in empty"):
        Folder(train).open()
