"""A finished set labelled anew within a budget of bytes, by the labels that students learn most from.

A budget buys a few exact labels of each picture, many coarse ones, or what others make of it. Which are worth more is measured:
students learn from the set with each candidate, and are asked about real training pictures that no student saw. Teachers and set
may have seen those, alike for all candidates; the test pictures stay closed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import torch

from gendistill.config.overrides import read_value
from gendistill.config.settled import settled
from gendistill.context import Context, silent
from gendistill.distilled import Distilled
from gendistill.evaluation.labelled import relabelled
from gendistill.evaluation.protocols import SCREENING, Protocol
from gendistill.evaluation.rows import score
from gendistill.evaluation.sets.prints import prints
from gendistill.evaluation.tables import aligned
from gendistill.exporting.export import replaceable, whole_folder
from gendistill.formatting import bytes_of, plural, spell_accuracy, spell_bytes
from gendistill.images import Subset, split
from gendistill.labelers.alternate import Alternate
from gendistill.labelers.base import Labeler
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.labelers.together import label_together
from gendistill.nets.guessing import check_teachers
from gendistill.provenance import Provenance
from gendistill.recipe import Recipe
from gendistill.relabeling.adopted import sets_at
from gendistill.relabeling.candidates import candidates, described, like, published
from gendistill.relabeling.set_data import opened
from gendistill.running.drawn import DrawnImages
from gendistill.running.load import SET_FOLDER, read_set
from gendistill.running.statement import provenance_of
from gendistill.system.devices import device_of
from gendistill.system.environment import versions
from gendistill.system.store import fingerprint, read_json, write_json
from gendistill.types import Images, Source, UserError
from gendistill.views.numbered import Views

log = logging.getLogger("gendistill")
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system answers that cannot link here."""


@dataclass(frozen=True)
class Tried:
    """Labels that were tried.

    labeler     who makes them
    bytes       what they cost
    accuracies  of a student each, in percent, on held-out training pictures; the mean over networks where there are several
    """

    labeler: Labeler
    bytes: int
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return fmean(self.accuracies)

    @property
    def words(self) -> list[str]:
        """What they are, what they cost and what they are worth, for people."""
        n = len(self.accuracies)
        spread = stdev(self.accuracies) if n > 1 else 0.0
        return [described(self.labeler), spell_bytes(self.bytes), spell_accuracy(self.mean, spread, n)]


@dataclass(frozen=True)
class Relabelled:
    """A set that was labelled anew. Prints as the table of what was tried.

    folder  where it is: `gendistill.load`, evaluate and export read it as a run
    tried   the candidates
    chosen  the one that it has
    """

    folder: Path
    tried: tuple[Tried, ...]
    chosen: Tried

    def __repr__(self) -> str:
        rows = [[*one.words, "chosen" if one is self.chosen else ""] for one in self.tried]
        return aligned([["soft labels", "bytes", "accuracy in %, mean ± std (n)", ""], *rows])


def relabel(
    path: str | Path,
    out: str | Path,
    budget: int | str,
    *,
    labeler: Labeler | None = None,
    views: Views | None = None,
    real: Source | None = None,
    protocol: Protocol = SCREENING,
    fraction: float = 0.1,
    device: str | torch.device = "auto",
    progress: Callable[..., Iterable] = silent,
    command: str = "",
) -> Relabelled:
    """Label the sets of a run anew, in at most so many bytes each, and leave them in a folder of their own.

    Args:
        path: a run, or one of its sets; the labels are chosen on the first. Or, with ``real`` and a ``labeler``, a set of others.
        out: a new folder, or one that an earlier call wrote.
        budget: bytes of the soft labels of a set, without the headers of their files, 20_000_000 or "20MB". Hard labels, which cost
            none of it, are tried beside all that fit, and chosen where no soft ones are worth more.
        labeler: whose teachers label, and all else but codec and number of views; None for that of the recipe.
        views: what is labelled, where it is views; None for those of the labeler, else of the recipe, else `Views()`.
        real: the real pictures; None for those of the recipe. A set of ours must have been made from them.
        protocol: how students learn, the mean over all of its networks. Views that none has epochs for are not labelled, so that it
            should be the one in mind.
        fraction: of the training pictures of each class that judge.
        device: where to compute; "auto" takes a GPU where there is one.
        progress: wraps iterables to show how far they are.
        command: what the user typed, for the card.

    Raises:
        UserError: no labels are that small, nobody is there to give soft ones, the set was not made from the real pictures, or
            ``out`` holds something else.
    """
    replaceable(out, "relabel")  # before the work
    labeler, views, where = settled(labeler), settled(views), device_of(device)
    budget = bytes_of(budget) if isinstance(budget, str) else budget
    if budget < 1:
        raise UserError(
            f"budget={budget}: soft labels take at least a byte; hard ones need no relabel, distilled.hard()"
        )
    folders = sets_at(path, real, where, progress)
    made = [read_set(folder, read_value) for folder in folders]
    first, recipe = made[0], made[0].recipe
    if isinstance(first.images, DrawnImages):
        raise UserError(
            f"{path} is a generator, whose pictures are drawn anew for every epoch: there are none to label"
        )
    asked, source = labeler, real
    if isinstance(recipe, Recipe):
        asked, source = labeler or recipe.labeler, real or recipe.real
        views = views or (views_of(recipe.labeler) if labeler is not None and views_of(labeler) is None else None)
    ensemble = alone(asked)
    if source is None or not isinstance(ensemble, Ensemble):
        lacking = "real data: give --real" if source is None else "teachers: give --teachers and --average"
        raise UserError(f"{path} does not name its {lacking}")
    if views is not None:
        ensemble = like(RelabelViews, ensemble, views=views)
    trainings = [one.training_for(first.ipc, len(first.classes)) for one in protocol.each]
    epochs = [training.passes(len(first.images)) for training in trainings]
    most = max(asked.phases.soft(count) if isinstance(asked, Alternate) else count for count in epochs)
    options = candidates(ensemble, first.images, budget, most)
    if isinstance(asked, Alternate):
        options = [*(replace(asked, labeler=one) for one in options), Hard()]
    else:
        options += published(ensemble, first.images, budget, most)
    context = replace(opened(source, first, where, progress), ipc=first.ipc)
    ensemble.check(context.real)
    check_teachers(ensemble, context)
    _, judges = split(context.real.train, fraction, 0, context.real.name)
    judges = Subset(
        judges, torch.nonzero(~torch.isin(prints(judges), prints(first.images))).flatten()
    )  # a core set holds some
    log.info(
        "%s within %s, judged by %s",
        plural(len(options), "candidate"),
        spell_bytes(budget),
        plural(len(judges), "picture"),
    )
    label_together([one for one in map(alone, options) if isinstance(one, RelabelViews)], first.images, context)
    tried = tuple(tried_out(one, first, protocol, context, judges) for one in progress(options, "labels", len(options)))
    chosen = max(tried, key=lambda one: (one.mean, -one.bytes))
    with whole_folder(out, "relabel") as part:
        for folder, one in zip(folders, made, strict=True):
            name = folder.name if SET_FOLDER.fullmatch(folder.name) else "seed-0"
            told = write_set(folder, part / "sets" / name, one, chosen.labeler, context)
        write_json(part / "relabel.json", {
            "budget": budget, "protocol": repr(protocol), "judges": len(judges), "chosen": repr(chosen.labeler),
            "tried": [{"labeler": repr(o.labeler), "bytes": o.bytes, "accuracies": o.accuracies} for o in tried],
        })  # fmt: skip
        about = {"command": command, "device": str(where), "versions": versions(), "seconds": {}}
        write_json(part / "run.json", {**about, "provenance": {**told, "command": command}})
    return Relabelled(Path(out), tried, chosen)


def tried_out(labeler: Labeler, made: Distilled, protocol: Protocol, context: Context, judges: Images) -> Tried:
    """What a set with these labels is worth. Students of a number begin alike whatever the labels."""
    found = relabelled(made, labeler, context)
    students = [(one, one.training_for(made.ipc, len(made.classes))) for one in protocol.each]
    scores = [
        fmean(score(found, one, training, seed, context, judges) for one, training in students)
        for seed in range(protocol.students)
    ]
    log.info("labels %s: %.1f", described(labeler), fmean(scores))
    return Tried(labeler, found.label_sizes["soft labels"], tuple(scores))


def alone(labeler: Labeler | None) -> Labeler | None:
    """A labeler, or the one that takes turns with hard labels."""
    return labeler.labeler if isinstance(labeler, Alternate) else labeler


def views_of(labeler: Labeler) -> Views | None:
    """What a labeler labels, where it is views."""
    return getattr(alone(labeler), "views", None)


def write_set(source: Path, folder: Path, made: Distilled, labeler: Labeler, context: Context) -> Provenance:
    """A finished set with other labels, and what is known of it; the pictures are the same files where the disk allows it."""
    about = read_json(source / "set.json")
    for name in about["shards"]:
        link(source / "shards" / name, folder / "shards" / name)
    recipe = replace(made.recipe, labeler=labeler) if isinstance(made.recipe, Recipe) else made.recipe
    told = retold(made, labeler, context)
    changed = {
        "identity": fingerprint(about["identity"], repr(labeler)),
        "recipe": recipe if isinstance(recipe, str) else repr(recipe),
        "soft": {**relabelled(made, labeler, context).soft.save(folder), "set": made.images.fingerprint},
        "origin": told,
    }
    write_json(folder / "set.json", {**about, **changed})
    return told


def retold(made: Distilled, labeler: Labeler, context: Context) -> Provenance:
    """What a reader must know of the set: its teachers are others now."""
    if isinstance(made.recipe, Recipe):
        fresh = provenance_of(replace(made.recipe, labeler=labeler), context)
        changed = {name: value for name, value in fresh.items() if name in ("teachers", "leakage")}
    else:
        known = list(made.origin.get("teachers", ()))
        new = [one for one in labeler.origins(context.real.licence) if one not in known]
        changed = {"teachers": [*known, *new]}
    return Provenance(**{**made.origin, **changed})


def link(source: Path, place: Path) -> None:
    """The same file in another place, where nothing is yet, or a copy of it where the disk has no links.

    Ours are replaced, never changed, so that they may be shared.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, place)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, place)
