"""Priors that are trained on the real pictures themselves, once, and kept in the cache: what the families share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

from gendistill.capabilities import LoadedPrior
from gendistill.context import Context
from gendistill.priors.base import Prior
from gendistill.types import Images, RealData, UserError


class TrainedHere(Prior):
    """Settings of a training, as a prior: a dataclass with the fields of ``training``, and a seed.

    training  the class of the settings
    train     trains by them into a folder
    """

    training: ClassVar[type]
    train: ClassVar[Callable[..., Path]]
    seed: int
    looks_at_real: ClassVar[bool] = True

    @abstractmethod
    def completed(self, images: Images) -> Any:
        """The settings with nothing left open."""

    @abstractmethod
    def ready(self, folder: Path) -> Prior:
        """The prior of a folder that the training left."""

    def __repr__(self) -> str:
        changed = [f for f in fields(cast(Any, self)) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    @property
    def settings(self) -> Any:
        """The training alone."""
        return self.training(**{f.name: getattr(self, f.name) for f in fields(self.training)})

    def origin(self) -> dict[str, str]:
        """Trained here, on the training pictures."""
        return {"name": f"{self!r}, trained here", "licence": "that of the real data", "saw": "the training pictures"}

    def check(self, data: RealData) -> None:
        """Raise `UserError` if the sizes do not fit the data."""
        full = self.completed(data.train)
        if full.resolution != data.train.shape[-1]:
            raise UserError(
                f"{type(self).__name__}(resolution={full.resolution}) makes pictures of another size than the data "
                f"({data.train.shape[-1]}); leave resolution out, or set size={full.resolution} in `real`"
            )

    def prepare(self, context: object) -> Prior:
        """The trained prior, from the cache if it is there; an interrupted training is resumed.

        Raises:
            UserError: it would have to be trained by several processes at once, which train-prior is for.
        """
        here = cast(Context, context)
        images, settings = here.real.train, self.settings
        key = {"data": images.fingerprint, "settings": repr(self.completed(images)), "seed": self.seed}
        if not here.store.path("prior", key).exists() and int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError(
                "this prior is not trained yet, and several processes would wait for each other; run once with one "
                f"process, or train it with `gendistill train-prior` and use {self.ready(Path('FOLDER'))!r}"
            )

        def make(working: Path) -> None:
            type(self).train(
                images,
                working,
                settings,
                device=here.device,
                seed=self.seed,
                progress=here.progress,
                resume_from_checkpoint="latest",
                name=here.real.name,
                licence=here.real.licence,
            )

        return self.ready(here.store.folder("prior", key, make))

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """Raise `UserError`: there are no weights before `prepare`."""
        raise UserError(
            f"{type(self).__name__} has no weights before it is trained; prepare(context) returns a prior that loads"
        )
