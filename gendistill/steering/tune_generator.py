"""Tuning a generator: it goes on learning against its discriminator, what it draws pulled towards objectives meanwhile.

The losses of the objectives are summed and divided by the pictures of a batch, so that an objective that judges classes counts
once for each class of the batch, on average over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendistill.capabilities import Generates, Judged, Learns
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.learning.training import real_reader
from gendistill.objectives.base import Objective, check_weights
from gendistill.priors.training.generator_tuning import GeneratorTuning
from gendistill.priors.training.tune_generator import Task, one_step, tune_networks
from gendistill.priors.training.wishes import Wish
from gendistill.steering.tunes import TunesPrior
from gendistill.system.store import fingerprint_state
from gendistill.types import UserError
from gendistill.work import Work


@dataclass(frozen=True)
class TuneGenerator(GeneratorTuning, TunesPrior):
    """Train the generator on beside its discriminator, and hand it to the steps that follow: its weights are what is distilled.

    objectives  what is wanted of the pictures it draws
    """

    objectives: tuple[Objective, ...] = ()
    kind = "tuned-generator"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "objectives", tuple(self.objectives))
        check_weights("TuneGenerator", self.objectives)
        if not self.objectives and not self.adversarial:
            raise UserError("TuneGenerator has nothing to learn: give it objectives, or adversarial above 0")

    @property
    def needs(self) -> tuple[type, ...]:
        """A generator that learns, a discriminator where it counts, and what the objectives need."""
        return (Generates, Learns, *((Judged,) if self.adversarial else ()), *super().needs)

    def follows(self, prior: Any) -> Mapping[str, object]:
        """The discriminator's weights."""
        return {"discriminator": fingerprint_state(prior.judge())} if self.adversarial else {}

    def train(self, context: Context, folder: Path) -> None:
        """Train both networks, and write them with a card."""
        tune_networks(self.task(context), folder, context.device, context.progress)

    def task(self, context: Context) -> Task:
        """What is to be trained, with the objectives bound to all real pictures."""
        images = context.real.train
        each = self.batch // self.together(len(images.classes))
        inner = context.anew(seed=self.seed, ipc=each, made=None)
        wishes = [
            Wish(repr(one), one.bind(inner), one.weight, one.scope != "picture", None, one.period)
            for one in self.objectives
        ]
        return Task(context.prior, self, images, real_reader(inner), context.statistics, wishes)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """What the objectives cost to bind, and the optimiser steps: those that take the penalty cost more."""
        for objective in self.objectives:
            yield from objective.work(context)
        task = self.task(context.of(tuple(range(len(context.real.classes)))))
        steps = self.steps(len(task.images))
        dear = -(-steps // self.penalty_steps) if self.adversarial else 0
        for what, calls, penalty in (("tune generator", steps - dear, False), ("tune with penalty", dear, True)):
            if calls:
                once = one_step(task, context.device, penalty)
                yield Work(what, calls, once, shared=True, rows=self.batch, each="run")
