"""The value that holds all of a distillation: which real data, which prior, which steering, who labels. Prints as code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gendistill.data.given import as_source
from gendistill.labelers.base import Labeler
from gendistill.labelers.hard import Hard
from gendistill.priors.base import Prior, lacks
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.steering.base import Steering
from gendistill.types import Source, UserError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A distillation, before anything is loaded. It compares, hashes, prints as the code that makes it, and can be altered.

    real      the data to distil: a source, or a loaded ``datasets.Dataset``
    prior     what generates: a prior, or a loaded ``DiTPipeline``
    steering  steps from left to right
    labeler   who labels the finished pictures
    ipc       pictures per class
    seed      everything random follows from it
    block     slots of a class that are worked on together; other values change pictures by rounding only
    rounds    the slots of every class are made in this many turns, and a later one may look at what earlier ones made
    source    URL of the publication
    """

    real: Source
    prior: Prior
    steering: tuple[Steering, ...]
    labeler: Labeler = Hard()
    ipc: int = 10
    seed: int = 0
    block: int = 10
    rounds: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        """Take loaded objects where settings are, and check that every step can do its work with this prior.

        Raises:
            UserError: a step needs what the prior lacks, comes before there is anything to work on, or a number is out of range.
        """
        object.__setattr__(self, "real", as_source(self.real))
        object.__setattr__(self, "prior", as_prior(self.prior))
        object.__setattr__(self, "steering", tuple(self.steering))
        if self.ipc < 1 or self.block < 1:
            raise UserError(f"a recipe needs ipc >= 1 and block >= 1, got ipc={self.ipc}, block={self.block}")
        if not 1 <= self.rounds <= self.ipc:
            raise UserError(f"rounds={self.rounds} share ipc={self.ipc} slots: give 1 to {self.ipc}")
        if not self.steering:
            raise UserError(
                "a recipe needs at least one steering step, for example Start(anchors=RealPictures()) or Sample()"
            )
        loads = self.prior.loads
        for step in self.steering:
            if not isinstance(step, Steering):
                raise UserError(f"{step!r} is no steering step")
            missing = lacks(loads, step.needs)
            if missing:
                raise UserError(
                    f"{type(step).__name__} needs a prior that {' and '.join(missing).lower()}; "
                    f"{type(self.prior).__name__ if loads is self.prior.loads else loads.__name__} does not"
                )
            loads = step.loads(loads)
        first = next((step for step in self.steering if step.shapes), None)
        if first is None:
            raise UserError("this recipe changes the prior but makes no picture: add Sample(...)")
        if not first.begins:
            raise UserError(
                f"{type(first).__name__} works on pictures, and there are none yet: put Start(...) or Sample(...) before it"
            )
        copies = 1
        for step in self.steering:
            copies *= step.copies
            if step.keeps:
                copies = 1
        if copies != 1:
            raise UserError(
                f"{copies} candidates per slot are left at the end: put a Select(...) after the oversampling"
            )


def as_prior(given: Any) -> Prior:
    """A prior as it is, or settings around a loaded pipeline."""
    if isinstance(given, Prior):
        return given
    if all(hasattr(given, part) for part in ("transformer", "vae", "scheduler")):
        return LatentDiffusion(given)
    raise UserError(
        f"{type(given).__name__} is no prior: give LatentDiffusion(...), Pixels(), SmallDiffusion() or a loaded DiTPipeline"
    )
