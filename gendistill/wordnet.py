"""The words of ImageNet's synsets, from timm's tables: a class is a name and a WordNet id, never a position."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from gendistill.types import Class, UserError

WNID = re.compile(r"n\d{8}")

ALL = "all of ImageNet"
"""The synsets of ImageNet-22K, and those of ImageNet-1K that are not among them."""

NAMES = {
    "n02012849": "crane (bird)",
    "n02113186": "Cardigan Welsh corgi",  # the first word, Cardigan, is also a jacket
    "n03126707": "crane (machine)",
    "n03710721": "tank suit",  # the first word, maillot, is also a pair of tights
}
"""Names for synsets of ImageNet-1K whose first word is another's too, so that the 1000 names are distinct."""

SPELLINGS = {"crane bird": "n02012849", "maillot tank suit": "n03710721"}
"""What torchvision calls those of them that it tells apart."""


@cache
def imagenet() -> tuple[Class, ...]:
    """The 1000 classes of ImageNet-1K in index order, which is the order of their WordNet ids."""
    return tuple(Class(NAMES.get(wnid, words.split(",")[0]), wnid) for wnid, words in _words("imagenet-1k").items())


def as_class(name: str) -> Class:
    """The class a folder or a label names: a WordNet id gets the words of its synset, any other name is kept."""
    if not WNID.fullmatch(name):
        return Class(name)
    if name in NAMES:
        return Class(NAMES[name], name)
    if name in _words(ALL):
        return Class(_words(ALL)[name].split(",")[0], name)
    return Class(name, name)


def find(name: str) -> Class | None:
    """The class of ImageNet-1K with this WordNet id or words, or None where no class, or more than one, is meant.

    A word of several of them means the one that has no other word, where it is spelled as there: "cardigan" is the jacket,
    and "Cardigan" may be that or the dog.
    """
    wnid = name if name in _words("imagenet-1k") else _spoken().get(plain(name))
    shared = len(senses(name, "imagenet-1k")) > 1 and _words("imagenet-1k").get(wnid or "") != _spaced(name)
    return None if wnid is None or shared else as_class(wnid)


def resolve(names: Iterable[str]) -> list[Class | None]:
    """The class of ImageNet-1K that each name means, or None.

    Names that two synsets share ("crane", "cardigan") are told apart where all 1000 are given and every name that means
    something stands at the ImageNet index of a class that has it among its words.
    """
    names = list(names)
    found = [find(name) for name in names]
    ordered = len(found) == 1000 and all(
        one in (None, own) or own.wnid in senses(name, "imagenet-1k")
        for name, one, own in zip(names, found, imagenet(), strict=True)
    )
    return list(imagenet()) if ordered and found.count(None) <= 10 else found


def meaning(label: str) -> str | None:
    """The WordNet id of the one synset of ImageNet that a label means, or None where it means none, or may mean several.

    A label says so by the id it begins with, by all words of a synset together, by a name of ours or torchvision's, or by a word
    that no other synset has: "mouse, computer mouse" and "tench" mean one, "mouse" does not.
    """
    found = WNID.match(label)
    return found[0] if found else _meant().get(plain(label))


def synsets(subset: str = "imagenet-1k") -> tuple[str, ...]:
    """The WordNet ids of one of timm's subsets of ImageNet, in the order in which networks trained on it answer.

    Raises:
        UserError: there is no such subset.
    """
    from timm.data.imagenet_info import ImageNetInfo

    try:
        return tuple(ImageNetInfo(subset).label_names())
    except AssertionError:
        raise UserError(
            f"timm knows no subset of ImageNet called {subset!r}: imagenet-1k, imagenet-12k, imagenet-21k or imagenet-22k"
        ) from None


def words(wnid: str) -> str | None:
    """All words of a synset, "tench, Tinca tinca"; None where it is none of ImageNet's."""
    return _words(ALL).get(wnid)


def definition(wnid: str) -> str | None:
    """What WordNet says a synset is; None where it is none of ImageNet's."""
    return _definitions().get(wnid)


def entry(wnid: str) -> str:
    """A synset as a dictionary would list it: id, words, definition."""
    return f"{wnid} ({words(wnid)}: {definition(wnid)})"


def every_word() -> Iterable[str]:
    """Every word of every synset of ImageNet."""
    return _senses(ALL).keys()


def senses(name: str, subset: str = ALL) -> tuple[str, ...]:
    """The WordNet ids of every synset of an ImageNet subset that has this word among its words."""
    return _senses(subset).get(plain(name), ())


@cache
def _senses(subset: str) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for wnid, together in _words(subset).items():
        for word in dict.fromkeys(plain(word) for word in together.split(",")):
            found.setdefault(word, []).append(wnid)
    return {word: tuple(wnids) for word, wnids in found.items()}


@cache
def _words(subset: str) -> Mapping[str, str]:
    """The words of every synset of an ImageNet subset, "tench, Tinca tinca", by WordNet id."""
    from timm.data.imagenet_info import ImageNetInfo  # slow to import, and most data name their classes themselves

    if subset == ALL:
        return {**_words("imagenet-22k"), **_words("imagenet-1k")}
    info = ImageNetInfo(subset)
    return {wnid: info.label_name_to_description(wnid) for wnid in info.label_names()}


@cache
def _definitions() -> Mapping[str, str]:
    from timm.data.imagenet_info import ImageNetInfo

    info, known = ImageNetInfo(), _words(ALL)
    return {
        wnid: info.label_name_to_description(wnid, detailed=True).removeprefix(f"{words}: ")
        for wnid, words in known.items()
    }


@cache
def _spoken() -> Mapping[str, str | None]:
    """Every way to say a synset of ImageNet-1K -> its WordNet id, or None where two are said alike.

    All words of a synset together, our own names and torchvision's say it more surely than one of its words does.
    """
    words = _words("imagenet-1k")
    single = [(word, wnid) for wnid, together in words.items() for word in together.split(",")]
    return {
        **_unique(single),
        **_unique((together, wnid) for wnid, together in words.items()),
        **_unique((one.name, one.wnid or "") for one in imagenet()),
        **SPELLINGS,
    }


@cache
def _meant() -> Mapping[str, str | None]:
    """Every way to say a synset of all of ImageNet -> its WordNet id, or None where several are said so."""
    words = _words(ALL)
    return {
        **_unique((word, wnid) for wnid, together in words.items() for word in together.split(",")),
        **_unique((together, wnid) for wnid, together in words.items() if "," in together),
        **{plain(name): wnid for wnid, name in NAMES.items()},
        **SPELLINGS,
    }


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    for word, wnid in pairs:
        said[plain(word)] = wnid if said.setdefault(plain(word), wnid) == wnid else None
    return said


def plain(name: str) -> str:
    """A name as names are compared: case, underscores and runs of spaces do not matter."""
    return _spaced(name).casefold()


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
