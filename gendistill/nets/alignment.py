"""Which output of a published network means which class of the data: by WordNet id and name, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from gendistill import wordnet
from gendistill.types import Class, UserError
from gendistill.wordnet import plain

Key = TypeVar("Key", bound=Hashable)


def places(classes: Sequence[Class], labels: Mapping[int, str], whose: str, mend: str) -> tuple[int, ...]:
    """The place of every class among the labels of a network: WordNet ids, names, or several names with commas between.

    Ids decide where both sides have one, be it that they say it or that what they say means one synset alone; elsewhere the
    name must be that of one label, and only one. A mere word in common is not enough where several synsets have it.

    Raises:
        UserError: a class is not there, or may be several; ``mend`` says what would do.
    """
    meant = _meant(labels)
    by_id = _grouped((wnid, place) for place, wnid in meant.items() if wnid is not None)
    by_name = _grouped((plain(label), place) for place, label in labels.items())
    by_word = _grouped((word, place) for place, label in labels.items() for word in _words(label, meant[place]))

    def find(wanted: Class) -> int:
        wnid = wanted.wnid or wordnet.meaning(wanted.name)
        if wnid in by_id:
            found = by_id[wnid]
        else:  # by name, among those of which an id does not say that they are something else
            names = [by_name.get(plain(wanted.name), [])]
            names.append([place for word in _words(wanted.name, wnid) for place in by_word.get(word, [])])
            open_to = (dict.fromkeys(p for p in some if wnid is None or meant[p] is None) for some in names)
            found = next((list(some) for some in open_to if some), [])
        if len(found) > 1:
            fits = ", ".join(f"{place} ({labels[place]})" for place in found[:6])
            raise UserError(f"class {wanted} fits several of the classes of {whose}: {fits}; {mend}")
        several = wordnet.senses(wanted.name) if found and wnid is None and meant[found[0]] is not None else ()
        if len(several) > 1:
            raise UserError(
                f"class {wanted} may be several things: {'; '.join(map(wordnet.entry, several))}, and {whose} knows "
                f"{labels[found[0]]}; name the class of the data by its WordNet id, or {mend}"
            )
        if found and wnid is not None and meant[found[0]] is None:
            several = _senses(labels[found[0]], wanted.name, wnid)
            if len(several) > 1:
                raise UserError(
                    f"class {wanted} may be the {labels[found[0]]} of {whose}, but that may be several things: "
                    f"{'; '.join(map(wordnet.entry, several))}; {mend}"
                )
        if not found:
            near = [
                labels[by_word[word][0]] for word in get_close_matches(plain(wanted.name), by_word, n=3, cutoff=0.5)
            ]
            hint = (
                f"nearest there: {', '.join(near)}" if near else f"it knows {', '.join(list(labels.values())[:8])} ..."
            )
            raise UserError(f"{whose} does not know class {wanted}; {hint}; {mend}")
        return found[0]

    found = tuple(find(wanted) for wanted in classes)
    twice = {place for place in found if found.count(place) > 1}
    if twice:
        clash = ", ".join(f"{c.name} -> {place}" for c, place in zip(classes, found, strict=True) if place in twice)
        raise UserError(f"several classes of the data fall on one of {whose}: {clash}; {mend}")
    return found


def _meant(labels: Mapping[int, str]) -> dict[int, str | None]:
    """The WordNet id of every label, or None where it means none, or may mean several.

    Where most of ImageNet-1K stands in its own order, maybe behind a background, a label that may mean several synsets means
    the one whose turn it is, if it is called so.
    """
    meant = {place: wordnet.meaning(label) for place, label in labels.items()}
    order = [one.wnid for one in wordnet.imagenet()]
    index = {wnid: position for position, wnid in enumerate(order)}
    shifts = Counter(place - index[wnid] for place, wnid in meant.items() if wnid in index)
    shift = max(shifts, key=shifts.__getitem__, default=0)
    if shifts[shift] <= len(order) // 2:
        return meant
    due = {position + shift: wnid for position, wnid in enumerate(order)}
    return {
        place: due[place] if wnid is None and _words(labels[place], None) & _words("", due.get(place)) else wnid
        for place, wnid in meant.items()
    }


def _senses(label: str, name: str, wnid: str) -> Sequence[str]:
    """The synsets that a label may mean which shares a word with this class: those of the surest word of both.

    One that is the name of the class, or all words of its synset and of no other class of ImageNet-1K, leaves no doubt.
    """
    whole = plain(label) == plain(wordnet.words(wnid) or "") and wordnet.find(label) is not None
    if whole or plain(label) == plain(name):
        return ()
    shared = _words(label, None) & _words(name, wnid)
    return min((wordnet.senses(word) for word in sorted(shared)), key=len)


def _words(label: str, wnid: str | None) -> set[str]:
    """The names in a label, which may list several with commas, and those of its synset."""
    own = "" if wordnet.WNID.fullmatch(label) else label
    together = (wordnet.words(wnid) or "") if wnid else ""
    return {plain(word) for word in (*own.split(","), *together.split(","))} - {""}


def _grouped(pairs: Iterable[tuple[Key, int]]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for key, place in pairs:
        found.setdefault(key, []).append(place)
    return found
