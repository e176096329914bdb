"""Labels of views in several ways at once: the teachers are asked once for each view, and every way keeps what it takes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gendistill.context import Context
from gendistill.labelers.codecs.base import Rows
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.relabel_views import RelabelViews, shard_name, stacked
from gendistill.system.store import write_tensors
from gendistill.types import Images, UserError


@dataclass
class _Writer:
    """One way, whose shards are written as their views come by.

    shards  file -> numbers of its views, for those that a killed run did not finish
    held    rows of the views that came by, of shards that are not full yet
    """

    labeler: RelabelViews
    shards: dict[Path, list[int]]
    held: dict[int, Rows] = field(default_factory=dict)


def label_together(labelers: Sequence[RelabelViews], images: Images, context: Context) -> None:
    """Make the labels of labelers that differ in codec and count alone; each gives its own at once thereafter.

    Raises:
        UserError: they differ in more.
    """
    if len({repr(alike(one)) for one in labelers}) > 1:
        raise UserError("only labelers that differ in codec and count alone ask the same: label with the others apart")
    apart = {repr(one.key(images, context)): one for one in labelers}  # of two that keep the same, one makes it
    _open(list(apart.values()), [], images, context)


def alike(labeler: RelabelViews) -> RelabelViews:
    """What labelers that ask the same have in common."""
    return replace(labeler, codec=Half(), count=1, temperature=1.0, cooling=None, loss=None)


def _open(left: list[RelabelViews], writers: list[_Writer], images: Images, context: Context) -> None:
    """Take the folder of every way that is not there yet, one inside the other, and fill all of them in one pass."""
    if not left:
        if writers:
            _fill(writers, images, context)
        return
    first, *rest = left
    taken = []

    def make(folder: Path) -> None:
        taken.append(folder)
        files = {folder / shard_name(number): part for number, part in enumerate(first.parts(images))}
        unmade = {file: part for file, part in files.items() if not file.exists()}
        _open(rest, [*writers, _Writer(first, unmade)], images, context)

    context.store.folder("labels", first.key(images, context), make)
    if not taken:
        _open(rest, writers, images, context)


def _fill(writers: Sequence[_Writer], images: Images, context: Context) -> None:
    """Ask for every view that some way lacks."""
    wanted = sorted({view for one in writers for part in one.shards.values() for view in part})
    if not wanted:
        return
    say = writers[0].labeler.asked(images, context)
    for view, said in zip(context.progress(wanted, "label views", len(wanted)), say(wanted), strict=True):
        for one in writers:
            for file, part in one.shards.items():
                if view in part:
                    one.held[view] = one.labeler.codec.encode(said)
                if view == part[-1]:
                    write_tensors(file, stacked([one.held.pop(number) for number in part]))
