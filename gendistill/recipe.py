"""The value that holds all of a distillation: which real data, which prior, which steering, who labels. Prints as code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from gendistill.capabilities import Saves
from gendistill.config.settled import check_finite, settled
from gendistill.data.given import as_source
from gendistill.labelers.base import Labeler
from gendistill.labelers.hard import Hard
from gendistill.priors.base import Prior, lacks
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.pixels import Pixels
from gendistill.priors.text_to_image import TextToImage
from gendistill.steering.base import Steering
from gendistill.types import Source, UserError

SEEDS = 2**62
"""Seeds are within this of 0: rows of a data set hold 64 bits, and every further set of a run adds to its seed."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A distillation, before anything is loaded. It compares, hashes, prints as the code that makes it, and can be altered.

    real      the data to distil: a source, or a loaded ``datasets.Dataset``
    prior     what generates: a prior, or a loaded pipeline of diffusers
    steering  steps from left to right
    labeler   who labels the finished pictures
    ipc       pictures per class
    seed      everything random follows from it; from -2**62 to 2**62
    block     slots of a class that pass the prior together; other values change pictures by rounding only
    rounds    the slots of every class are made in this many turns, and a later one may look at what earlier ones made
    draws     1 keeps the pictures; more make the generator what is distilled: it is stored, and draws as many sets of pictures,
              which a student sees in turn, one an epoch
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
    draws: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        """Take loaded objects where settings are and lists where tuples are; check that every step can work with this prior.

        Raises:
            UserError: a step needs what the prior lacks, comes before there is anything to work on, or a number is out of range.
        """
        object.__setattr__(self, "real", as_source(self.real))
        object.__setattr__(self, "prior", as_prior(self.prior))
        object.__setattr__(self, "steering", tuple(self.steering))
        for field in fields(self):
            object.__setattr__(self, field.name, settled(getattr(self, field.name)))
        check_finite(self)
        if self.ipc < 1 or self.block < 1:
            raise UserError(f"a recipe needs ipc >= 1 and block >= 1, got ipc={self.ipc}, block={self.block}")
        if abs(self.seed) > SEEDS:
            raise UserError(f"seed={self.seed}: give one from -2**62 to 2**62")
        if not 1 <= self.rounds <= self.ipc:
            raise UserError(f"rounds={self.rounds} share ipc={self.ipc} slots: give 1 to {self.ipc}")
        if self.draws < 1:
            raise UserError(f"draws={self.draws}: 1 keeps the pictures, more keep the generator")
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
        if self.draws > 1:
            self._check_drawn(loads)
        copies = 1
        for step in self.steering:
            copies *= step.copies
            if step.keeps:
                copies = 1
        if copies != 1:
            raise UserError(
                f"{copies} candidates per slot are left at the end: put a Select(...) after the oversampling"
            )

    @property
    def keeps_real(self) -> bool:
        """Whether what comes out are real pictures as they are: nothing generates them, and no step moves them."""
        return isinstance(self.prior, Pixels) and not any(step.moves for step in self.steering)

    def _check_drawn(self, loads: type) -> None:
        """A generator that draws for every epoch makes each picture alone, from its own noise, and nobody labels it before."""
        wide = [type(step).__name__ for step in self.steering if step.shapes and step.scope != "picture"]
        if wide or self.rounds > 1 or not isinstance(self.labeler, Hard):
            raise UserError(
                f"draws={self.draws} stores a generator, whose pictures are made one by one when a student asks: "
                + (f"{', '.join(wide)} must see more than one; " if wide else "")
                + "use rounds=1, labeler=Hard() and steps that work on single pictures, or draws=1"
            )
        if lacks(loads, [Saves]):
            raise UserError(f"draws={self.draws} stores the generator, and {loads.__name__} has nothing to store")


def as_prior(given: Any) -> Prior:
    """A prior as it is, or settings around a loaded pipeline."""
    if isinstance(given, Prior):
        return given
    if all(hasattr(given, part) for part in ("vae", "scheduler")):
        return TextToImage(given) if hasattr(given, "tokenizer") else LatentDiffusion(given)
    raise UserError(
        f"{type(given).__name__} is no prior: give LatentDiffusion(...), TextToImage(...), Pixels(), SmallDiffusion(), or a "
        "loaded pipeline of diffusers"
    )
