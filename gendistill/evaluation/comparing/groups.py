"""Which results may be compared, and what is more than chance between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.comparing.significance import Difference, independent, paired
from gendistill.evaluation.comparing.words import differing, spell_size
from gendistill.evaluation.tables import MARK, ONE_SET, marked
from gendistill.formatting import spell_labels

Claim: TypeAlias = tuple[str, str, str, str]
"""Data, split, student and protocol, as a result states them."""


@dataclass(frozen=True)
class Pair:
    """Two results that share seeds.

    ours, theirs  what they are called
    what          what else they share, in words
    difference    ours less theirs, in percentage points
    """

    ours: str
    theirs: str
    what: str
    difference: Difference


@dataclass(frozen=True)
class Group:
    """Results that may be compared: of the same data, split, student and protocol, and at each IPC of the same training.

    Published results and sets that were taken whole are among them, whatever their training.

    training  the only one that counts here, where several go by the name of the protocol; "" where there is no such choice
    others    the others
    held_out  the pictures they were measured on, where others go by the name of the same data; "" where there is no such choice
    """

    data: str
    split: str
    student: str
    protocol: str
    results: tuple[Result, ...]
    training: str = ""
    others: tuple[str, ...] = ()
    held_out: str = ""

    @property
    def title(self) -> str:
        """What they share."""
        split = f"{self.split} {self.held_out[:6]}" if self.held_out else self.split
        return " · ".join([self.data or "data not stated", self.student, self.protocol, split])

    @property
    def names(self) -> list[str]:
        """What each result is called here: by its set, and by its run where that is needed to tell it from another's."""
        runs: dict[tuple[object, ...], set[str]] = {}
        for one in self.results:
            runs.setdefault((one.name, one.labelled, one.ipc), set()).add(one.run)
        clashing = {name for (name, *_), those in runs.items() if len(those) > 1}
        return [
            f"{one.name} · {one.run}" if one.name in clashing and one.run not in ("", one.name) else one.name
            for one in self.results
        ]

    @property
    def trainings(self) -> dict[str, str]:
        """How students learned, by the size of their sets; under "" where all learned alike."""
        found = {spell_size(one): one.training for one in self.results if one.training and is_asked(one)}
        return {"": next(iter(found.values()))} if len(set(found.values())) == 1 else found

    @property
    def notes(self) -> list[str]:
        """What a reader must know of these numbers."""
        named = list(zip(self.names, self.results, strict=True))
        found = []
        if self.others:
            found.append(
                f"Other trainings go by the name of this protocol; here {differing(self.training, self.others)}."
            )
        if len(self.trainings) > 1:
            found.append("Students learn in another way at another IPC.")
        if self.held_out:
            found.append(f"Other pictures go by the name of these data; here those with the hash {self.held_out}.")
        silent = [name for name, one in named if self.trainings and not one.training and is_asked(one)]
        if silent:
            found.append(f"Taken at their word, as they name the protocol only: {', '.join(dict.fromkeys(silent))}.")
        unpaired = dict.fromkeys(name for name, one in named if one.scores and not one.seeds and not one.published)
        if unpaired:
            found.append(f"Without differences, as nobody states their seeds: {', '.join(unpaired)}.")
        alone = dict.fromkeys(name for name, one in named if one.alone)
        if alone:
            found.append(f"{', '.join(alone)}: ± is over students of {ONE_SET}.")
        found += [marked(self.split)] * any(one.elsewhere for one in self.results)
        published = [
            f"{name} ({one.rule}{f', {one.source}' if one.source else ''})" for name, one in named if one.published
        ]
        if published:
            found.append(
                f"Published, not measured here, and reported by a rule of their own: {'; '.join(dict.fromkeys(published))}."
            )
        return found

    @property
    def pairs(self) -> list[Pair]:
        """What is more than chance: every set less every other with its kind of labels and IPC, where they share seeds."""
        named = list(zip(self.names, self.results, strict=True))
        found = []
        for place, (ours, one) in enumerate(named):
            for theirs, other in named[place + 1 :]:
                if (one.baseline and other.baseline) or (one.labelled, one.ipc) != (other.labelled, other.ipc):
                    continue
                if one.run != other.run and any(r.baseline and n != r.name for n, r in ((ours, one), (theirs, other))):
                    continue  # a baseline that is called by its run is that of another run
                # A set is compared with its baseline, not the baseline with the set.
                pair = (theirs, other, ours, one) if one.baseline else (ours, one, theirs, other)
                found += shared(*pair, f"{spell_labels(one.labels, one.labeler)}, {spell_size(one)}")
        return found

    @property
    def label_pairs(self) -> list[Pair]:
        """What the labels bring, to the same pictures with the same seeds: every kind less the hard ones, labeler less labeler."""
        named = list(zip(self.names, self.results, strict=True))
        found = []
        for place, (ours, one) in enumerate(named):
            for before, (_, other) in enumerate(named):
                alike = (one.set, one.run, one.ipc) == (other.set, other.run, other.ipc) and one.labels != "hard"
                if alike and (other.labels == "hard" or (other.labels == one.labels and before < place)):
                    found += shared(f"{ours}, {one.labelled}", one, other.labelled, other, spell_size(one))
        return found


def shared(ours: str, one: Result, theirs: str, other: Result, what: str) -> list[Pair]:
    """The difference over the seeds that two results share; none where they share fewer than two."""
    seeds = sorted(set(one.by_seed) & set(other.by_seed))
    if len(seeds) < 2:
        return []
    mine, others = ([each.by_seed[seed] for seed in seeds] for each in (one, other))
    sets = None
    if one.sets or other.sets:
        sets = independent([(one.set_by_seed[seed], other.set_by_seed[seed]) for seed in seeds])
    what = f"{what} {MARK}".strip() if one.elsewhere or other.elsewhere else what
    return [Pair(ours, theirs, what, paired(mine, others, sets=sets))]


def grouped(results: Sequence[Result]) -> list[Group]:
    """Results that may be compared, together.

    A protocol may train on small sets in another way than on large ones, but at one IPC in one way: where several trainings of one
    IPC go by its name, each has a group of its own, and so have results that only name the protocol.
    """
    claims: dict[Claim, list[Result]] = {}
    for one in results:
        claims.setdefault(claim(one), []).append(one)
    found = []
    for claimed in claims.values():
        for held_out, those in by_pictures(claimed).items():
            what = (those[0].data, those[0].split, those[0].student, those[0].protocol)
            stated = trainings_of(those)
            if not stated:
                found.append(Group(*what, tuple(those), held_out=held_out))
            for training in stated:
                mine = tuple(one for one in those if one.training == training or not is_asked(one))
                others = tuple(other for other in stated if other != training)
                found.append(Group(*what, mine, training, others, held_out))
    return found


def by_pictures(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results of one claim by the pictures they were measured on, as far as these must be told apart; under "" where they need not.

    Those that do not state them are taken at their word where the others agree, and stand apart where they do not.
    """
    if len({one.held_out for one in results if one.held_out}) < 2:
        return {"": list(results)}
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(one.held_out, []).append(one)
    return found


def trainings_of(results: Sequence[Result]) -> list[str]:
    """The trainings that must be kept apart; none where each IPC has one. Not to state it is one of its own."""
    asked = [one for one in results if is_asked(one)]
    stated: dict[int | None, set[str]] = {}
    for one in asked:
        stated.setdefault(one.ipc, set()).update(filter(None, (one.training,)))
    if all(len(those) <= 1 for those in stated.values()):
        return []
    return list(dict.fromkeys(one.training for one in asked))


def is_asked(one: Result) -> bool:
    """Whether its training counts: published results state none, and whole sets are learned from in a way of their own."""
    return not one.published and not one.whole


def claim(one: Result) -> Claim:
    """What a result must share with another to be compared, however it is spelt."""
    return folded(one.data), one.split, folded(one.student), folded(one.protocol)


def subject(one: Result) -> tuple[object, ...]:
    """What a result is of, whatever was found: two of one subject cannot be told apart."""
    return (
        *claim(one), one.held_out, one.training, one.run, one.set, one.labels, one.labeler, one.ipc, one.published and one.rule
    )  # fmt: skip


def folded(text: str) -> str:
    """The same for all spellings that differ in case and spaces only."""
    return " ".join(text.casefold().split())


def same_sets(one: Result, other: Result) -> bool | None:
    """Whether two results are of the same sets, whatever these are called; None where one of them does not say which."""
    said = one.fingerprints and other.fingerprints
    return set(one.fingerprints) == set(other.fingerprints) if said else None


def measured(one: Result) -> tuple[object, ...]:
    """What was measured and what was found, whatever it is called: two of one run that have this in common are one result."""
    found = (one.mean, one.std, *one.scores)
    return (
        *claim(one), one.held_out, one.training, one.set, one.labels, one.labeler, one.ipc, one.bytes, one.n, one.published,
        *(round(value, 6) for value in found),
    )  # fmt: skip


def merged(results: Sequence[Result]) -> tuple[Result, ...]:
    """Every accuracy once: runs on the same data have baselines in common, and one row may say what another leaves out."""
    kept: dict[tuple[object, ...], Result] = {}
    for one in results:
        key = (*measured(one), one.run if one.set == "distilled" else "")
        kept[key] = completed(kept[key], one) if key in kept else one
    return tuple(kept.values())


def completed(one: Result, other: Result) -> Result:
    """A result with what only its twin says."""
    asked = (
        *("lrs", "lrs_std", "ars", "ars_std", "per_class", "leakage", "source", "epochs", "sets", "seeds"),
        *("calibration_error", "attacked", "corrupted", "attack_seconds"),
    )
    empty = [name for name in asked if getattr(one, name) in (None, "", {}, ())]
    found = {name: getattr(other, name) for name in empty} | {"elsewhere": one.elsewhere or other.elsewhere}
    return replace(one, more={**other.more, **one.more}, **found)
