"""What a protocol is: which students learn from a set, how, with whose labels, how often, and what stands beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from gendistill.anchors.base import Anchors
from gendistill.config.settled import settled
from gendistill.evaluation.metrics.stress import Stress
from gendistill.labelers.base import Labeler
from gendistill.learning.schedules import CosineDecay, RateSchedule
from gendistill.learning.training import Training
from gendistill.nets.base import Net
from gendistill.nets.convnet import ConvNet
from gendistill.types import UserError

log = logging.getLogger("gendistill")


@dataclass(frozen=True, kw_only=True)
class When:
    """What is different about the training of some sets or students.

    most_ipc       sets of at most so many pictures per class; None for any
    least_classes  data of at least so many classes
    most_classes   data of at most so many classes; None for any
    student        one network; None for any
    epochs, batch, lr, weight_decay, schedule  what takes the place of the training's own; None leaves it
    """

    most_ipc: int | None = None
    least_classes: int = 1
    most_classes: int | None = None
    student: Net | None = None
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    schedule: RateSchedule | None = None

    def __post_init__(self) -> None:
        if not self.changes:
            raise UserError(f"{self} changes nothing: give epochs, batch, lr, weight_decay or schedule")

    @property
    def changes(self) -> dict[str, object]:
        """Fields of a training and what they become."""
        names = {one.name for one in fields(Training)}
        return {
            one.name: value
            for one in fields(self)
            if one.name in names and (value := getattr(self, one.name)) is not None
        }

    def holds(self, ipc: int, classes: int, student: Net) -> bool:
        """Whether it speaks of a set of so many pictures per class and classes, and of this student."""
        small = self.most_ipc is None or ipc <= self.most_ipc
        few = self.most_classes is None or classes <= self.most_classes
        return small and few and classes >= self.least_classes and self.student in (None, student)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to measure what a set is worth.

    name      as results call it
    student   the network that learns from the set
    also      other networks that do, each apart; the mean over all of them is a row of its own
    training  how they learn
    cases     what is different for some sets or students; all that hold count, the later over the earlier. They go before what
              ``training`` says, but not before what is said on a command line, see `said`
    labelers  who labels every set, each in turn; none takes hard labels, and those the sets have
    coresets  real pictures chosen by a rule, which stand beside those drawn at random
    sets      independent sets, each from a seed of its own
    students  per set, each from a seed of its own; the spread is over all (set, student) pairs
    full      how a student learns from all real pictures, once, with hard labels; no case speaks of it
    stress    what students are put through after their training; None for nothing
    source    URL of the paper
    """

    name: str
    student: Net = ConvNet()
    also: tuple[Net, ...] = ()
    training: Training = Training()
    cases: tuple[When, ...] = ()
    labelers: tuple[Labeler, ...] = ()
    coresets: tuple[Anchors, ...] = ()
    sets: int = 1
    students: int = 5
    full: Training = Training(epochs=30, schedule=CosineDecay())
    stress: Stress | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("also", "cases", "labelers", "coresets"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for field in fields(self):
            object.__setattr__(self, field.name, settled(getattr(self, field.name)))
        if self.sets < 1 or self.students < 1:
            raise UserError(
                f"a protocol needs sets >= 1 and students >= 1, got sets={self.sets}, students={self.students}"
            )
        twice = [str(net) for place, net in enumerate(self.nets) if net in self.nets[:place]]
        if twice:
            raise UserError(f"{', '.join(twice)} is a student of this protocol twice; give each network once")

    @property
    def nets(self) -> tuple[Net, ...]:
        """All students."""
        return (self.student, *self.also)

    @property
    def each(self) -> tuple[Protocol, ...]:
        """The same protocol for each of its students alone."""
        return tuple(replace(self, student=net, also=()) for net in self.nets)

    def training_for(self, ipc: int, classes: int) -> Training:
        """How ``student`` learns from a set of so many pictures per class and classes."""
        found = self.training
        for case in self.cases:
            if case.holds(ipc, classes, self.student):
                found = replace(found, **case.changes)
        return found


def said(protocol: Protocol, paths: Iterable[str]) -> Protocol:
    """A protocol of which somebody changed the fields at these paths by name: no case of it goes before them.

    What ``training.epochs=300`` asks for is 300 epochs, also where the authors train otherwise on sets of this size, or
    for some steps at least.
    """
    paths = tuple(paths)
    for name in ("training", "full"):
        asked: Training = getattr(protocol, name)
        if f"{name}.epochs" in paths and f"{name}.least_steps" not in paths and asked.least_steps:
            log.info("%s.epochs=%d as you say, for as many steps as these have", name, asked.epochs)
            protocol = replace(protocol, **{name: replace(asked, least_steps=0)})
    heads = {tuple(path.split(".")[:2]) for path in paths}
    if any(head[0] == "cases" for head in heads):
        return protocol  # the cases are what was asked for
    named = {one.name for one in fields(Training) if ("training",) in heads or ("training", one.name) in heads}
    names = named & {one.name for one in fields(When)}
    lost = {name for case in protocol.cases for name in case.changes if name in names}
    if not lost:
        return protocol
    kept = [
        replace(case, **dict.fromkeys(names))
        for case in protocol.cases
        if case.changes.keys() - names  # a case that says nothing more is none
    ]
    log.info("%s of %s as you say, for sets and students of every kind", ", ".join(sorted(lost)), protocol.name)
    return replace(protocol, cases=tuple(kept))
