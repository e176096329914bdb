"""What every prior is: settings of a generator, light until its weights are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch

from gendistill.capabilities import Features, Judged, LoadedPrior, Prompted
from gendistill.types import RealData
from gendistill.work import Work


class Prior(ABC):
    """Settings of a generator. ``loads`` is the class of what `load` returns: its methods are its capabilities."""

    loads: type

    def prepare(self, context: object) -> Prior:
        """A prior whose weights exist. Those that train on the real data do it here; the others are ready."""
        return self

    @property
    def negative(self) -> str:
        """What pictures should not show, where the prior is asked in words; "" for nothing."""
        return ""

    def origin(self) -> dict[str, str]:
        """What a reader must know of the prior: name, licence, and the pictures it saw, each where it is known."""
        return {"name": repr(self)}

    def check(self, data: RealData) -> None:
        """Raise `UserError` if the checkpoint's configs do not fit the data. Reads no weights."""
        return None

    def sketch(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """A prior that costs what this one costs, for planning: where weights do not exist yet, random ones."""
        return self.load(data, device, dtype)

    def work(self, data: RealData, device: torch.device) -> Iterable[Work]:
        """What `prepare` would cost, without doing it."""
        return ()

    @abstractmethod
    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """Load the weights, in eval mode and without gradients of their own."""


SAID = {Prompted: "takes prompts", Features: "shows features", Judged: "has a discriminator"}
"""Capabilities whose names do not say in a sentence what a prior does."""


def lacks(loads: type, needs: Sequence[type]) -> list[str]:
    """What the class ``loads`` does not do of the capabilities in ``needs``, as words that follow "a prior that"."""
    return [SAID.get(need, need.__name__) for need in needs if not issubclass(loads, need)]
