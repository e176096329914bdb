"""A class of the data finds its output by WordNet id and name, or nothing is made."""

from __future__ import annotations

import pytest

from gendistill import wordnet
from gendistill.nets.alignment import places
from gendistill.types import Class, UserError

IMAGENET = {place: wordnet.words(str(one.wnid)) or "" for place, one in enumerate(wordnet.imagenet())}
"""The labels of the common networks of transformers: all words of a synset, or, twice, "crane" alone."""
SHORT = {place: label.split(",")[0] for place, label in IMAGENET.items()}
TORCHVISION = {**SHORT, 134: "crane bird", 639: "maillot tank suit"}
IDS = dict(enumerate(wordnet.synsets()))
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MOUSE, BIRD, MACHINE, SUIT = "n02330245", "n02012849", "n03126707", "n03710721"


def found(classes, labels):
    return places(classes, labels, "'net'", "say classes=(...)")


@pytest.mark.parametrize("labels", [IMAGENET, IDS], ids=["words", "ids"])
def test_a_thousand_classes_answer_for_ten(labels):
    wnids = ("n03888257", "n01440764", "n03028079")
    assert found([wordnet.as_class(wnid) for wnid in wnids], labels) == (701, 0, 497)
    assert found([Class("parachute"), Class("tench, Tinca tinca"), Class("church")], labels) == (701, 0, 497)


@pytest.mark.parametrize("labels", [IMAGENET, SHORT, TORCHVISION, IDS], ids=["words", "short", "torchvision", "ids"])
def test_all_of_imagenet_is_in_its_own_order(labels):
    assert found(wordnet.imagenet(), labels) == tuple(range(1000))
    behind = {0: "background", **{place + 1: label for place, label in labels.items()}}
    assert found(wordnet.imagenet(), behind) == tuple(range(1, 1001))


def test_a_label_means_what_it_says_wherever_it_stands():
    """One behind its place in ImageNet a harmonica, which is a harp too, stands where the harp would."""
    harmonica, harp = (
        next(place for place, one in IMAGENET.items() if one.startswith(word)) for word in ("harmonica", "harp")
    )
    labels = {harp: IMAGENET[harmonica], harp + 1: IMAGENET[harp]}
    assert found([wordnet.imagenet()[harmonica]], labels) == (harp,)


def test_synsets_of_one_name_are_told_apart_by_id_alone():
    assert found([Class("crane", BIRD), Class("crane", MACHINE)], IMAGENET) == (134, 517)
    assert found([Class("crane (machine)"), Class("crane (bird)")], IDS) == (517, 134)
    with pytest.raises(
        UserError, match=r"class crane fits several of the classes of 'net': 134 \(crane\), 517 \(crane\); say"
    ):
        found([Class("crane")], IMAGENET)


def test_labels_in_another_order_are_followed():
    turned = {999 - place: label for place, label in IMAGENET.items()}
    assert found([wordnet.as_class("n03888257"), wordnet.as_class("n01440764")], turned) == (298, 999)
    with pytest.raises(UserError, match="several"):
        found([wordnet.as_class(BIRD)], turned)


def test_ids_before_the_words_are_read():
    assert found([Class("anything", "n01440764")], {0: "n01443537 goldfish", 1: "n01440764 tench, Tinca tinca"}) == (1,)


@pytest.mark.parametrize("name", CIFAR)
def test_names_that_are_no_class_of_imagenet_are_refused(name):
    with pytest.raises(UserError, match=rf"(?s)('net' does not know class {name}; |class {name} fits).*; say classes="):
        found([Class(name)], IMAGENET)


def test_a_word_of_several_things_is_refused_even_where_only_one_is_there():
    """The mouse of CIFAR-100 is no computer mouse, and ImageNet-1K knows no other."""
    with pytest.raises(UserError, match=r"class mouse may be several things: n02330245.*n03793489.*by its WordNet id"):
        found([Class("mouse")], IMAGENET)
    with pytest.raises(UserError, match="does not know class mouse"):
        found([Class("mouse", MOUSE)], IMAGENET)


@pytest.mark.parametrize(("label", "wnid"), [("crane", BIRD), ("crane", MACHINE), ("maillot", SUIT)])
def test_a_label_of_several_things_is_none_of_them_for_sure(label, wnid):
    with pytest.raises(
        UserError, match=rf"may be the {label} of 'net', but that may be several things: n0.*; n0.*; say"
    ):
        found([wordnet.as_class(wnid)], {0: "tench", 1: label})


def test_torchvisions_spellings_are_known_in_any_order():
    turned = dict(enumerate(sorted(TORCHVISION.values())))
    assert [turned[found([wordnet.as_class(wnid)], turned)[0]] for wnid in (BIRD, SUIT)] == [
        "crane bird",
        "maillot tank suit",
    ]


def test_all_words_of_a_synset_leave_no_doubt():
    """ImageNet-22K has two echidnas of the same words, of which ImageNet-1K has one."""
    assert found([wordnet.as_class("n01872401")], {0: "tench", 1: str(wordnet.words("n01872401"))}) == (1,)


def test_equal_names_match_whatever_they_mean():
    own = dict(enumerate(("dog", "mouse", "steampunk_airship", "crane")))
    assert found([Class("Steampunk airship"), Class("mouse"), Class("crane", BIRD)], own) == (2, 1, 3)


def test_two_classes_on_one_output_are_refused():
    with pytest.raises(UserError, match="several classes of the data fall on one of 'net': tench -> 0, a fish -> 0"):
        found([Class("tench"), Class("a fish", "n01440764")], IDS)


def test_the_nearest_are_named():
    with pytest.raises(UserError, match="does not know class tenhc; nearest there: tench, Tinca tinca"):
        found([Class("tenhc")], IMAGENET)
