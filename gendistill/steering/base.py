"""What every steering step is: settings that, given a draft, return a new one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from gendistill.capabilities import Denoises, Generates, LoadedPrior, Prompted
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.objectives.base import Objective, Scope, widest
from gendistill.types import CLEAN, Conditions, Ids, Labels, Latents, RealData
from gendistill.work import Work

ASKED_TOGETHER = 64
"""Pictures whose conditions are made once more at a time, to be compared: those of a text take megabytes."""


class Steering(ABC):
    """How a wish reaches pixels; a frozen dataclass.

    objectives  what it steers by, empty where it steers by none
    begins      works on an empty draft
    shapes      makes pictures or changes them; a step that only changes the prior does not
    moves       makes or changes pixels; a step that only chooses among pictures does not
    keeps       leaves as many pictures as the recipe wants, however many candidates came in
    looks_at_real  looks at real pictures itself; its objectives, anchors and teachers say so for themselves
    """

    objectives: tuple[Objective, ...] = ()
    begins: ClassVar[bool] = False
    shapes: ClassVar[bool] = True
    moves: bool = True
    keeps: ClassVar[bool] = False
    looks_at_real: ClassVar[bool] = False

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers it asks; ``licence`` is that of the real pictures."""
        return [one for objective in self.objectives for one in objective.origins(licence)]

    def retold(self, prior: dict[str, str]) -> dict[str, str]:
        """What a card says of the prior once this step has changed it; ``prior`` where it has not."""
        return prior

    @property
    def needs(self) -> tuple[type, ...]:
        """Capabilities of the prior without which it cannot work."""
        return tuple(need for objective in self.objectives for need in objective.needs)

    @property
    def scope(self) -> Scope:
        """What it must see together: the widest scope of its objectives."""
        return widest([objective.scope for objective in self.objectives])

    @property
    def copies(self) -> int:
        """Pictures that come out for each that goes in."""
        return 1

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if the data cannot give what the step takes from them. Reads no picture."""
        return None

    def fits(self, draft: Draft, context: Context) -> None:
        """Raise `UserError` if the step cannot work on a draft such as this, which holds no picture yet. Computes nothing."""
        return None

    def tune(self, context: Context) -> LoadedPrior:
        """The prior that this step and those after it work with, given the one before it.

        ``context.classes`` are all classes. Called once for every stage from its own on, not once a unit: what is costly to
        make is kept in ``context.store``.
        """
        assert context.prior is not None
        return context.prior

    def loads(self, before: type) -> type:
        """The class of what `tune` returns, given that of the prior before it; its methods are the capabilities."""
        return before

    @abstractmethod
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """A new draft; ``draft`` stays as it is."""

    @abstractmethod
    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """What `__call__` would do with such a draft, without doing it."""

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """A draft such as would come out, for planning what follows: as many pictures as went in, clean, their latents unshaped."""
        assert context.prior is not None
        if isinstance(context.prior, Generates) and draft.latents:
            return draft  # in the space it is in
        latents = unshaped(context.prior, context.seed, draft.ids, draft.labels)
        return replace(draft, prior=context.prior, latents=latents, level=CLEAN)


def asked(draft: Draft) -> Draft:
    """The draft with conditions, where it has none: they ask for what was said, else for its classes.

    Of a prior that takes prompts, they too are there then.
    """
    if draft.conditions is not None:
        return draft
    if isinstance(draft.prior, Prompted):
        prompts = draft.prompts or draft.prior.prompts(draft.labels, draft.ids[:, 1])
        return replace(draft, conditions=draft.prior.condition_on(prompts), prompts=prompts)
    return replace(draft, conditions=cast(Denoises, draft.prior).condition(draft.labels))


def plainly_asked(draft: Draft) -> bool:
    """Whether the conditions of a draft are those that `asked` would give it: nothing is lost where it is asked again."""
    if draft.conditions is None or not isinstance(draft.prior, Denoises):
        return False
    for rows in torch.arange(len(draft)).split(ASKED_TOGETHER):
        part = draft[rows]
        again = asked(replace(part, conditions=None))
        if again.prompts != part.prompts or not _same(again.conditions, part.conditions):
            return False
    return True


def _same(one: Conditions | None, other: Conditions | None) -> bool:
    """Whether all bits are equal."""
    if one is None or other is None:
        return one is other

    def equal(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
        return mine.keys() == theirs.keys() and all(
            value.dtype == theirs[name].dtype and torch.equal(value, theirs[name].to(value.device))
            for name, value in mine.items()
        )

    return equal(one.values, other.values) and equal(one.null, other.null)


def unshaped(prior: LoadedPrior, seed: int, ids: Ids, labels: Labels) -> Latents:
    """Latents that nothing has shaped yet: noise, and of a generator the noise that is asked for its class."""
    noise = prior.noise(seed, ids)
    return prior.generate(noise, labels) if isinstance(prior, Generates) else noise
