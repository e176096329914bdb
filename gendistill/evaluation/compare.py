"""Any number of runs and results side by side: what may be compared stands together, and what may not is kept apart."""

from __future__ import annotations

import ast
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from gendistill.errors import UserError
from gendistill.evaluation.report import aligned
from gendistill.evaluation.results import Result, read
from gendistill.evaluation.significance import Difference, paired
from gendistill.formatting import spell_accuracy, spell_bytes, spell_labels, spell_score

log = logging.getLogger("gendistill")
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
    """

    data: str
    split: str
    student: str
    protocol: str
    results: tuple[Result, ...]
    training: str = ""
    others: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What they share."""
        return " · ".join([self.data or "data not stated", self.student, self.protocol, self.split])

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
        silent = [name for name, one in named if self.trainings and not one.training and is_asked(one)]
        if silent:
            found.append(f"Taken at their word, as they name the protocol only: {', '.join(dict.fromkeys(silent))}.")
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
    return [Pair(ours, theirs, what, paired(mine, others))]


@dataclass(frozen=True)
class Comparison:
    """Results of any number of runs. Prints as aligned tables, and the paired differences below them."""

    results: tuple[Result, ...]

    @property
    def groups(self) -> list[Group]:
        """What may be compared, in the order it was given."""
        return grouped(self.results)

    def to_json(self) -> dict[str, Any]:
        """A file of results with all of them."""
        return {"rows": [one.to_json() for one in self.results]}

    def __str__(self) -> str:
        return "\n\n".join("\n".join(lines(group)) for group in self.groups)


def compare(given: Sequence[str | Path]) -> Comparison:
    """Put runs, and files and folders of results, side by side.

    NAME=PATH calls a run by another name than its folder's; runs of one name are one set at several sizes.

    Raises:
        UserError: one of them has no results, or nothing of them may be compared.
    """
    if not given:
        raise UserError("there is nothing to compare: give runs, or files of results")
    called = [called_path(one) for one in given]
    short = short_names([path for _, path in called])
    names = [name or last for (name, _), last in zip(called, short, strict=True)]
    found = [read(path, name) for (_, path), name in zip(called, names, strict=True)]
    check_common(found, names)
    results = merged([one for each in found for one in each])
    check_names(results)
    return Comparison(results)


def called_path(given: str | Path) -> tuple[str, Path]:
    """The name, "" where there is none, and the path of NAME=PATH or PATH."""
    name, equals, path = str(given).partition("=")
    return (name, Path(path)) if equals and name and not Path(given).exists() else ("", Path(given))


def lines(group: Group) -> Iterator[str]:
    """A group for a terminal."""
    yield group.title
    yield aligned(table(group))
    yield from group.notes
    pairs = [*group.pairs, *group.label_pairs]
    if pairs:
        yield f"Differences over shared seeds, in percentage points{several(len(pairs))}:"
    for pair in pairs:
        yield f"  {pair.ours} − {pair.theirs}, {pair.what}: {pair.difference}"


def table(group: Group) -> list[list[str]]:
    """Cells of a group with a header, by bytes and then by accuracy."""
    ranked = any(one.lrs is not None or one.ars is not None for one in group.results)
    marked = any(one.published for one in group.results)
    head = ["set", "IPC", "labels", "accuracy in %, mean ± std (n)", "bytes", "epochs"]
    body = [
        [
            name,
            "all" if one.ipc is None else str(one.ipc),
            one.labelled,
            spell_accuracy(one.mean, one.std, one.n),
            "not stated" if one.bytes is None else spell_bytes(one.bytes),
            "" if one.epochs is None else str(one.epochs),
            *([spell_score(one.lrs, one.lrs_std), spell_score(one.ars, one.ars_std)] if ranked else []),
            *(["published" if one.published else ""] if marked else []),
        ]
        for name, one in in_order(group)
    ]
    return [[*head, *(["LRS", "ARS"] if ranked else []), *([""] if marked else [])], *body]


def in_order(group: Group) -> list[tuple[str, Result]]:
    """Results with their names: those of fewer bytes first, and the more accurate of equal ones."""
    return sorted(
        zip(group.names, group.results, strict=True),
        key=lambda item: (item[1].bytes is None, item[1].bytes or 0, -item[1].mean),
    )


def grouped(results: Sequence[Result]) -> list[Group]:
    """Results that may be compared, together.

    A protocol may train on small sets in another way than on large ones, but at one IPC in one way: where several trainings of one
    IPC go by its name, each has a group of its own, and so have results that only name the protocol.
    """
    claims: dict[Claim, list[Result]] = {}
    for one in results:
        claims.setdefault(claim(one), []).append(one)
    found = []
    for those in claims.values():
        what = (those[0].data, those[0].split, those[0].student, those[0].protocol)
        stated = trainings_of(those)
        if not stated:
            found.append(Group(*what, tuple(those)))
        for training in stated:
            mine = tuple(one for one in those if one.training == training or not is_asked(one))
            found.append(Group(*what, mine, training, tuple(other for other in stated if other != training)))
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


def folded(text: str) -> str:
    """The same for all spellings that differ in case and spaces only."""
    return " ".join(text.casefold().split())


def merged(results: Sequence[Result]) -> tuple[Result, ...]:
    """Every accuracy once: runs on the same data have baselines in common, and one row may say what another leaves out."""
    kept: dict[tuple[object, ...], Result] = {}
    for one in results:
        rounded = tuple(round(value, 6) for value in (one.mean, one.std, *one.scores))
        whose = one.run if one.set == "distilled" else ""
        key = (
            *claim(one),
            one.training,
            one.set,
            whose,
            one.labels,
            one.labeler,
            one.ipc,
            one.bytes,
            one.n,
            one.published,
            *rounded,
        )
        kept[key] = completed(kept[key], one) if key in kept else one
    return tuple(kept.values())


def completed(one: Result, other: Result) -> Result:
    """A result with what only its twin says."""
    asked = ("lrs", "lrs_std", "ars", "ars_std", "per_class", "leakage", "source", "epochs")
    empty = [name for name in asked if getattr(one, name) in (None, "", {})]
    return replace(one, more={**other.more, **one.more}, **{name: getattr(other, name) for name in empty})


def check_common(found: Sequence[Sequence[Result]], names: Sequence[str]) -> None:
    """Refuse runs of which no two may be compared, and name those that stand alone."""
    home = {id(one): place for place, results in enumerate(found) for one in results}
    groups = grouped([one for results in found for one in results])
    company = [{home[id(one)] for one in group.results if not one.whole} for group in groups]
    alone = [place for place in range(len(found)) if not any(place in those and len(those) > 1 for those in company)]
    if len(found) > 1 and len(alone) == len(found):
        told = "\n".join(f"  {name}: {spell_claims(results)}" for name, results in zip(names, found, strict=True))
        raise UserError(
            f"no two of these share data, split, student, protocol and training, so nothing may be compared:\n{told}\n"
            "measure the sets by one protocol: `gendistill evaluate PATH --protocol NAME`"
        )
    for place in alone if len(found) > 1 else ():
        log.warning("%s stands alone: nothing else is of %s", names[place], spell_claims(found[place]))


def check_names(results: Sequence[Result]) -> None:
    """Refuse two runs of one name with results of one size: nobody could tell them apart."""
    seen: dict[tuple[object, ...], Result] = {}
    for one in results:
        if one.run and not one.published and not one.baseline:
            key = (*claim(one), one.training, one.run, one.set, one.labelled, one.ipc, one.bytes)
            if seen.setdefault(key, one) is not one:
                raise UserError(
                    f"two results with {spell_labels(one.labels, one.labeler)} and {spell_size(one)} are called {one.run}: call "
                    "one of the runs otherwise, NAME=PATH"
                )


def spell_claims(results: Sequence[Result]) -> str:
    """The data, students and protocols of some results, in words."""
    return "; ".join(dict.fromkeys(group.title for group in grouped(results)))


def spell_size(one: Result) -> str:
    """Pictures per class, in words."""
    return "whole sets" if one.ipc is None else f"IPC {one.ipc}"


def several(count: int) -> str:
    """A warning where so many intervals are read at once that one of them may leave out 0 by chance."""
    return (
        ""
        if count < 5
        else f" (of {count} such intervals about {max(1, round(count / 20))} may leave out 0 by chance alone)"
    )


def differing(training: str, others: Sequence[str]) -> str:
    """The settings of a training that are not those of all the others, in words."""
    mine, theirs = settings(training), [settings(other) for other in others if other]
    told = [f"{name}={value}" for name, value in mine.items() if any(other.get(name) != value for other in theirs)]
    return ", ".join(told) or ("it is not stated" if not training else "it is another")


def settings(code: str) -> Mapping[str, str]:
    """The fields of a printed value, name -> code; empty where it is no such thing."""
    try:
        value = ast.parse(code, mode="eval").body
    except SyntaxError:
        return {}
    return {one.arg: ast.unparse(one.value) for one in value.keywords if one.arg} if isinstance(value, ast.Call) else {}


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    whole = []
    for path in paths:
        place = path.resolve()
        place = place.parent if place.name in ("metrics.json", "results.json") else place
        whole.append([*place.parts[1:-1], place.stem if place.suffix == ".json" else place.name])
    for count in range(1, max((len(parts) for parts in whole), default=0) + 1):
        names = ["/".join(parts[-count:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    twice = Counter(map(tuple, whole)).most_common(1)[0][0]
    raise UserError(f"{'/'.join(twice)} is given twice: give it once")
