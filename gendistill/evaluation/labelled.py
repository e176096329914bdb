"""The sets of a name with every kind of labels they are judged with: hard ones, their own, or those of a protocol's labelers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gendistill.config.parts import inside
from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_labels
from gendistill.labelers.base import Labeler
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets.reference import Reference
from gendistill.nets.trained import Trained

log = logging.getLogger("gendistill")
KNOWN = (Relabel, RelabelViews, Online)
"""Labelers that are told apart by the kind of their labels."""


def labelled(
    name: str, made: Sequence[Distilled], labelers: Sequence[Labeler], context: Context
) -> Iterator[tuple[str, list[Distilled]]]:
    """Who labelled in words, and the sets with these labels; "" for hard labels and those the sets have.

    All real pictures are taken with hard labels only. Without ``labelers`` a set is taken with hard labels and then with its own.
    """
    hard = [one.hard() for one in made]
    if name == "full_real" or not labelers:
        yield "", hard
    if name == "full_real":
        return
    if not labelers:
        for kind in dict.fromkeys(one.soft.kind for one in made if one.soft.kind != "hard"):
            own = [one for one in made if one.soft.kind == kind]
            for one in own:
                check_labels(one, name)
            yield "", own
        return
    for words, labeler in zip(spell(labelers), labelers, strict=True):
        if isinstance(labeler, Hard):
            yield "", hard
        elif any(one.images.distinct > 1 for one in made):
            log.warning(
                "no row for %s with labels by %s: its pictures are drawn anew in every epoch, and labels are of one draw",
                name,
                words,
            )
        else:
            log.info("%s: labels by %s", name, words)
            found = [relabelled(one, labeler, context) for one in made]
            for one in found:
                check_labels(one, name)
            yield words, found


def relabelled(made: Distilled, labeler: Labeler, context: Context) -> Distilled:
    """The same pictures with the labels that this labeler gives them."""
    return replace(made, soft=labeler(made.images, replace(context.of(()), ipc=made.ipc)))


def spell(labelers: Sequence[Labeler]) -> list[str]:
    """Who labels, in words that differ where they must: "ResNet-18, T 20", "2 teachers, T 4, no. 2"; "" for hard labels."""
    keys = [(type(labeler), spell_one(labeler)) for labeler in labelers]
    numbers = [keys[: place + 1].count(key) for place, key in enumerate(keys)]
    return [
        f"{key[1]}, no. {number}" if key[1] and keys.count(key) > 1 else key[1]
        for key, number in zip(keys, numbers, strict=True)
    ]


def spell_one(labeler: Labeler) -> str:
    """One labeler in words: its teachers and the temperature, and what it is where its kind of labels does not say it."""
    if isinstance(labeler, Hard):
        return ""
    named = [] if type(labeler) in KNOWN else [type(labeler).__name__]
    for asked in inside(labeler):  # it may take turns with another
        if isinstance(asked, Ensemble):
            one = len(asked.teachers) == 1
            named.append(spell_teacher(asked.teachers[0]) if one else f"{len(asked.teachers)} teachers")
            named.append(f"T {asked.temperature:g}")
    return ", ".join(named)


def spell_teacher(reference: Reference) -> str:
    """A teacher in a word: its network where it is trained in place, else what it is."""
    return str(reference.net) if isinstance(reference, Trained) else type(reference).__name__
