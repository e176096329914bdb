"""Parquet and the hub: which files, which columns, which split."""

from __future__ import annotations

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gendistill.data.folder import Folder
from gendistill.data.hub import Hub
from gendistill.data.parquet import Parquet
from gendistill.types import Class, UserError

from .conftest import encoded, make_folder, make_parquet, make_table, picture


@pytest.fixture
def sides():
    return {"train": make_table(["cat", "dog"]), "test": make_table(["cat", "dog"], seed=7)}


def test_a_file_a_folder_a_pattern_and_a_list_mean_the_same(tmp_path, sides):
    root = make_parquet(tmp_path / "set", sides)
    file = root / "data" / "train-00000-of-00001.parquet"
    prints = {
        Parquet(train).open().train.fingerprint
        for train in (root, root / "data", file, str(root / "*" / "train*"), [str(file)])
    }
    assert len(prints) == 1
    assert hash(Parquet([file])) == hash(Parquet((str(file),)))  # type: ignore
    assert Parquet(root).open().test().fingerprint == Parquet(file, test=root).open().test().fingerprint


def test_a_path_that_is_there_is_no_pattern(tmp_path, sides):
    root = make_parquet(tmp_path / "a [set] of pictures", sides)
    file = root / "data" / "train-00000-of-00001.parquet"
    assert Parquet(root).open().train.fingerprint == Parquet(file).open().train.fingerprint
    with pytest.raises(UserError, match="no Parquet file"):
        Parquet(str(root / "*.parquet")).open()  # here the brackets are of a pattern, which names another folder


def test_parts_of_one_set_are_read_in_order(tmp_path, sides):
    table = sides["train"]
    for part in range(2):
        table.shard(2, part, contiguous=True).to_parquet(tmp_path / f"part-{part}.parquet")
    whole = tmp_path / "whole" / "x.parquet"
    whole.parent.mkdir()
    table.to_parquet(whole)
    parts = Parquet(str(tmp_path / "part-*.parquet")).open().train
    assert parts.fingerprint == Parquet(whole).open().train.fingerprint
    assert torch.equal(parts.labels, torch.tensor(table["label"]))


def test_a_table_and_a_folder_of_the_same_files_have_one_fingerprint(tmp_path):
    folder = Folder(make_folder(tmp_path / "folder", ["a", "b"])).open().train
    table = make_table(["a", "b"]).select([0, 2, 4, 1, 3, 5])  # class by class
    make_parquet(tmp_path / "set", {"train": table})
    images = Parquet(tmp_path / "set").open().train
    assert torch.equal(images.stored(range(6)), folder.stored(range(6)))
    assert images.fingerprint == folder.fingerprint


def test_files_that_are_changed_are_read_again(tmp_path, sides):
    root = make_parquet(tmp_path / "set", {"train": sides["train"]})
    before = Parquet(root).open().train.fingerprint
    sides["test"].to_parquet(root / "data" / "train-00000-of-00001.parquet")
    assert Parquet(root).open().train.fingerprint != before


def test_plain_parquet_of_encoded_bytes_and_text_labels(tmp_path):
    pictures = [encoded(picture(i)) for i in range(4)]
    for name, column in (("binary", pictures), ("struct", [{"bytes": p, "path": "a.png"} for p in pictures])):
        table = pa.table({"picture": column, "kind": ["dog", "cat", "dog", "cat"]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        images = Parquet(tmp_path / f"{name}.parquet", image_column="picture", label_column="kind").open().train
        assert images.classes == (Class("cat"), Class("dog")) and images.labels.tolist() == [1, 0, 1, 0]
        assert images.stored(range(4)).shape == (4, 3, 10, 12)
        assert images.fingerprint


@pytest.mark.parametrize(
    "feature",
    [
        datasets.Array3D((5, 4, 4), "uint8"),
        datasets.List(datasets.List(datasets.List(datasets.Value("uint8")))),
    ],
)
def test_arrays_of_other_channel_counts(tmp_path, feature):
    arrays = np.random.default_rng(0).integers(0, 256, (4, 5, 4, 4), dtype=np.uint8)
    table = datasets.Dataset.from_dict(
        {"x": list(arrays), "y": [0, 1, 2, 1]},
        features=datasets.Features(x=feature, y=datasets.Value("int32")),
    )
    table.to_parquet(tmp_path / "x.parquet")
    images = Parquet(tmp_path / "x.parquet", label_column="y").open().train
    assert torch.equal(images.stored(range(4)), torch.from_numpy(arrays))
    assert [c.name for c in images.classes] == ["0", "1", "2"]
    assert images.fingerprint
    with pytest.raises(UserError, match="cannot be converted"):
        Parquet(tmp_path / "x.parquet", label_column="y", channels=3).open()


def test_a_corrupt_row_is_named_and_left_out_if_asked(tmp_path):
    table = make_table(["a", "b"])
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[2]["image"]["bytes"] = b"no picture"
    rows[3]["image"]["bytes"] = b""
    datasets.Dataset.from_list(rows, features=table.features).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"2 of the 6 .*row 2 of x\.parquet \(not an image.*row 3 of x\.parquet"):
        Parquet(tmp_path / "x.parquet").open().train.stored(range(6))
    assert Parquet(tmp_path / "x.parquet", skip_corrupt=True).open().train.labels.tolist() == [0, 1, 0, 1]


def test_wrong_columns_are_told_with_those_there_are(tmp_path, sides):
    root = make_parquet(tmp_path / "set", sides)
    with pytest.raises(UserError, match="no column 'lable'.*did you mean 'label'"):
        Parquet(root, label_column="lable").open()
    with pytest.raises(UserError, match="'id' does not hold pictures"):
        Parquet(root, image_column="id").open()
    with pytest.raises(UserError, match="'image' does not hold class labels"):
        Parquet(root, label_column="image").open()
    make_parquet(tmp_path / "bare", {"train": sides["train"].remove_columns("label")})
    with pytest.raises(UserError, match=r"no column holds class labels.*'id' \(Value\), 'image' \(Image\)"):
        Parquet(tmp_path / "bare").open()


def test_wrong_files_are_told(tmp_path, sides):
    root = make_parquet(tmp_path / "set", sides)
    train, test = sorted((root / "data").iterdir(), reverse=True)
    with pytest.raises(UserError, match="did you mean 'data'"):
        Parquet(root / "date").open()
    with pytest.raises(UserError, match="holds no Parquet file"):
        Parquet(str(root / "*.parquet")).open()
    with pytest.raises(UserError, match="same files.*train-0"):
        Parquet(train, test=train).open()
    (root / "data" / "train-00001-of-00001.parquet").write_bytes(test.read_bytes()[:100])
    with pytest.raises(UserError, match="not a whole Parquet file"):
        Parquet(root).open()
    make_table(["cat", "cow"]).to_parquet(root / "data" / "train-00001-of-00001.parquet")
    with pytest.raises(UserError, match="columns of different types"):
        Parquet(root).open()


def test_test_classes_must_agree_by_name_in_any_order(tmp_path, sides):
    root = make_parquet(tmp_path / "set", {**sides, "test": make_table(["dog", "cat"], seed=7)})
    data = Parquet(root).open()
    assert data.test().classes == data.classes
    assert data.test().labels.tolist() == [1, 0] * 3
    other = make_parquet(tmp_path / "other", {**sides, "test": make_table(["dog", "cow"], seed=7)})
    with pytest.raises(UserError, match="lacks cat and adds cow"):
        Parquet(other).open()


def test_a_class_without_a_picture_is_told(tmp_path, sides):
    cats = sides["train"].filter(lambda row: row["label"] == 0)
    with pytest.raises(UserError, match="no picture of dog"):
        Parquet(make_parquet(tmp_path / "set", {"train": cats})).open()


def test_the_hub_takes_the_test_split_or_else_validation(tmp_path, sides):
    root = make_parquet(tmp_path / "both", {**sides, "validation": make_table(["cat", "dog"], seed=8)})
    test = Hub(str(root)).open().test()
    validation = Hub(str(root), test_split="validation").open().test()
    assert test.fingerprint != validation.fingerprint
    only = make_parquet(tmp_path / "only", {"train": sides["train"], "validation": sides["test"]})
    assert Hub(str(only)).open().test().fingerprint == test.fingerprint


def test_a_split_without_labels_is_told(tmp_path, sides):
    unlabelled = sides["test"].map(lambda row: {"label": -1})
    root = make_parquet(tmp_path / "set", {**sides, "test": unlabelled})
    with pytest.raises(UserError, match="6 of 6 rows have no label"):
        Hub(str(root)).open()


def test_a_wrong_split_is_told(tmp_path, sides):
    root = make_parquet(tmp_path / "set", sides)
    with pytest.raises(UserError, match="no split 'tests'.*'test'"):
        Hub(str(root), test_split="tests").open()


def test_a_hub_out_of_reach_is_told_with_the_offline_way(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UserError, match="cannot be had.*hf download owner/name"):
        Hub("owner/name").open()
