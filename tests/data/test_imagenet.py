"""The catalogue against its sources and timm, and subsets from folders and labels."""

from __future__ import annotations

import hashlib

import pytest
import torch
from timm.data.imagenet_info import ImageNetInfo

from gendistill.data.catalogue import CATALOGUE, chosen_classes, subset_classes, subset_names
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.data.pictures import Frame
from gendistill.types import Class, UserError
from gendistill.wordnet import NAMES, as_class, find, imagenet, resolve, words

from .conftest import make_folder, make_parquet, make_table, picture

WNIDS = ImageNetInfo().label_names()

# The ImageNet indices as the cited files write them (imagewoof in another order there).
PUBLISHED = {
    "imagenette": [0, 217, 482, 491, 497, 566, 569, 571, 574, 701],
    "imagewoof": [155, 159, 162, 167, 182, 193, 207, 229, 258, 273],
    "imagefruit": [953, 954, 949, 950, 951, 957, 952, 945, 943, 948],
    "imagesquawk": [84, 130, 88, 144, 145, 22, 96, 9, 100, 89],
    "imagemeow": [281, 282, 283, 284, 285, 291, 292, 290, 289, 287],
    "imageyellow": [309, 986, 954, 951, 987, 779, 599, 291, 72, 11],
    "imageblub": [392, 393, 33, 397, 6, 107, 327, 390, 108, 122],
    "imageneta": [255, 376, 984, 364, 500, 986, 333, 576, 148, 135],
    "imagenetb": [129, 916, 90, 275, 995, 874, 102, 259, 685, 139],
    "imagenetc": [565, 94, 554, 535, 92, 392, 291, 136, 324, 11],
    "imagenetd": [9, 258, 13, 262, 19, 339, 321, 24, 93, 322],
    "imagenete": [816, 96, 100, 145, 739, 713, 783, 76, 688, 326],
}

# Of the lines of the cited files: class100.txt (all, and the first ten) and the sorted wnids.txt.
DIGESTS = {
    "imageidc": "3b6f5e0c4b7efc86",
    "imagenet100": "b06db93f7ac2851e",
    "tiny-imagenet-200": "add4bf0c8712ef7f",
}


def test_every_list_is_checked_against_what_was_published():
    assert {*PUBLISHED, *DIGESTS} == set(CATALOGUE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_lists_of_indices(name):
    assert [WNIDS.index(wnid) for wnid in CATALOGUE[name].wnids] == PUBLISHED[name]


@pytest.mark.parametrize("name", DIGESTS)
def test_lists_of_wordnet_ids(name):
    assert hashlib.sha256("\n".join(CATALOGUE[name].wnids).encode()).hexdigest()[:16] == DIGESTS[name]


@pytest.mark.parametrize("name", CATALOGUE)
def test_lists_name_classes_of_imagenet_once_and_cite_a_source(name):
    listing = CATALOGUE[name]
    assert len(set(listing.wnids)) == len(listing.wnids) and set(listing.wnids) <= set(WNIDS)
    assert listing.source.startswith("http")
    assert set(listing.aliases.values()) <= set(listing.wnids) and not set(listing.aliases) & set(WNIDS)


def test_the_names_of_imagenet_are_distinct_words_of_their_synsets():
    info = ImageNetInfo()
    assert [c.wnid for c in imagenet()] == WNIDS == sorted(WNIDS)
    assert len({c.name.casefold() for c in imagenet()}) == 1000
    for c in imagenet():
        assert c.name in NAMES.values() or info.label_name_to_description(c.wnid).startswith(c.name)


def test_a_class_is_found_by_id_or_words():
    tench = Class("tench", "n01440764")
    assert find("n01440764") == find("tench") == find("Tinca_tinca") == find("Tench, Tinca tinca") == tench
    assert find("crane") is None and find("airplane") is None
    assert find("crane (bird)") == Class("crane (bird)", "n02012849")
    assert as_class("n00004475").name == "organism"  # a synset of ImageNet-21K
    assert resolve(["crane", "church"]) == [None, find("church")]


def test_a_word_that_is_all_of_one_class_and_some_of_another_is_spelled_as_it_is():
    jacket, dog = as_class("n02963159"), as_class("n02113186")
    assert find("cardigan") == jacket and find("Cardigan") is None and find("Cardigan Welsh corgi") == dog
    assert find("maillot") == as_class("n03710637") and find("maillot tank suit") == as_class("n03710721")
    assert find("crane_bird") == as_class("n02012849")


SHORT = [str(words(str(c.wnid))).split(",")[0] for c in imagenet()]


@pytest.mark.parametrize(
    "own", [{}, {134: "crane bird", 639: "maillot tank suit"}, {264: "cardigan"}, {264: "Cardigan Welsh corgi"}]
)
def test_shared_words_are_told_apart_where_all_thousand_stand_in_order(own):
    said = [own.get(index, name) for index, name in enumerate(SHORT)]
    assert resolve(said) == list(imagenet())
    assert resolve(reversed(said)).count(None) >= 1
    said[0], said[1] = said[1], said[0]
    assert None in resolve(said)


def test_an_unknown_subset_or_class_is_told_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'imagewoof'"):
        ImageNetSubset("imagewof")
    with pytest.raises(UserError, match="imagenette has no class 'tensh'.*'tench'"):
        ImageNetSubset("imagenette", classes=("tensh",))
    assert chosen_classes(imagenet(), ["n02102040", "tench"], "x") == (find("English springer"), find("tench"))
    assert [len(subset_classes(name)) for name in subset_names()] == [10] * 13 + [100, 200, 1000]


@pytest.mark.parametrize("settings", [{}, {"root": "a", "hub": "b"}])
def test_one_place_must_be_named(settings):
    with pytest.raises(UserError, match="needs either root"):
        ImageNetSubset("imagewoof", **settings).open()


TWO = ("church", "n01440764")


def test_labels_follow_wordnet_ids_not_the_order_of_folders(tmp_path):
    for side in ("train", "val"):
        make_folder(tmp_path / side, ["n01440764", "n02102040", "n03028079"], each=2, seed=len(side))
    data = ImageNetSubset("imagenette", root=tmp_path, classes=TWO, size=8).open()
    assert [c.name for c in data.classes] == ["church", "tench"]
    church = Frame(size=8, channels=3)(picture(200 + len("train")), "church")  # of the last folder
    assert torch.equal(data.train.stored([0])[0], church)
    assert data.train.labels.tolist() == [0, 0, 1, 1] == data.test().labels.tolist()
    everything = ImageNetSubset("imagenet-1k", root=tmp_path, classes=("church",), size=8).open()
    assert (data.train.stored([0, 1]) == everything.train.stored([0, 1])).all()


def test_folders_without_a_split_are_training_pictures(tmp_path):
    make_folder(tmp_path, ["n01440764", "n03028079"])
    data = ImageNetSubset("imagenette", root=tmp_path, classes=TWO).open()
    assert len(data.train) == 6 and data.test is None


def test_missing_class_folders_are_named(tmp_path):
    make_folder(tmp_path / "train", ["n01440764"])
    with pytest.raises(UserError, match=r"lacks the class folder of church \(n03028079\)"):
        ImageNetSubset("imagenette", root=tmp_path, classes=TWO).open()
    with pytest.raises(UserError, match="no picture of church"):
        (tmp_path / "train" / "n03028079").mkdir()
        ImageNetSubset("imagenette", root=tmp_path, classes=TWO).open()


def test_the_val_folder_of_tiny_imagenet_is_read_by_its_annotations(tmp_path):
    make_folder(tmp_path / "train", ["n01443537", "n01629819"], size=(8, 8))
    (tmp_path / "val" / "images").mkdir(parents=True)
    lines = []
    for i, wnid in enumerate(["n01629819", "n01443537", "n04067472"]):
        picture(i, (8, 8)).save(tmp_path / "val" / "images" / f"val_{i}.png")
        lines.append(f"val_{i}.png\t{wnid}\t0\t0\t8\t8")
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines))
    data = ImageNetSubset("tiny-imagenet-200", root=tmp_path, classes=("goldfish", "n01629819")).open()
    assert data.test().labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "labels", "classes"),
    [
        ("imagenette", ["n03028079", "dog", "n01440764"], TWO),
        ("imagenette", ["church, church building", "dog", "tench, Tinca tinca"], TWO),
        ("tiny-imagenet-200", ["n07646821", "n01443537", "n02666347"], ("goose", "n02666196")),
    ],
)
def test_labels_of_the_hub_are_read_as_ids_or_words(tmp_path, name, labels, classes):
    make_parquet(tmp_path, {"train": make_table(labels), "validation": make_table(labels, seed=7)})
    data = ImageNetSubset(name, hub=str(tmp_path), classes=classes).open()
    assert data.classes == chosen_classes(subset_classes(name), classes, name)
    assert data.train.labels.tolist() == [0, 1] * 3 and len(data.test()) == 6


def test_a_jacket_is_no_dog(tmp_path):
    make_parquet(tmp_path, {"train": make_table(["Cardigan", "cardigan", "tench"])})
    data = ImageNetSubset("imagenet-1k", hub=str(tmp_path), classes=("n02963159", "tench"), size=8).open()
    labels = make_table(["Cardigan", "cardigan", "tench"])
    jacket = Frame(size=8, channels=3)(labels[1]["image"], "cardigan")
    assert torch.equal(data.train.stored([0])[0], jacket) and data.train.labels.tolist() == [0, 1] * 3
    with pytest.raises(UserError, match=r"no label for Cardigan Welsh corgi"):
        ImageNetSubset("imagenet-1k", hub=str(tmp_path), classes=("n02113186", "tench")).open()


def test_two_labels_of_one_class_are_named(tmp_path):
    make_parquet(tmp_path, {"train": make_table(["Tinca tinca", "church", "tench"])})
    with pytest.raises(UserError, match=r"several labels for tench \(n01440764\) of imagenette: Tinca tinca, tench; "):
        ImageNetSubset("imagenette", hub=str(tmp_path), classes=TWO).open()
    data = ImageNetSubset("imagenette", hub=str(tmp_path), classes=("church",)).open()
    assert len(data.train) == 3


def test_labels_the_hub_lacks_are_named(tmp_path):
    make_parquet(tmp_path, {"train": make_table(["tench", "dog"])})
    with pytest.raises(UserError, match=r"no label for church \(n03028079\) of imagenette; its labels are tench, dog"):
        ImageNetSubset("imagenette", hub=str(tmp_path), classes=TWO).open()
