"""A prior that is trained on the real pictures themselves, once, and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import cast

import torch

from gendistill.context import Context
from gendistill.priors.base import Prior
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.loaded_dit import LoadedLatentDiffusion
from gendistill.priors.train import train_prior
from gendistill.priors.training.rows import label_rows
from gendistill.priors.training.settings import PriorTraining
from gendistill.priors.training.sizes import complete
from gendistill.priors.training.sketch import untrained
from gendistill.priors.training.sketch import work as training_work
from gendistill.types import LoadedPrior, RealData, UserError
from gendistill.work import Work


@dataclass(frozen=True, kw_only=True)
class SmallDiffusion(PriorTraining, Prior):
    """A small latent diffusion prior trained from random weights on the data of the recipe.

    seed  of the training; runs with other seeds share the prior
    """

    seed: int = 0
    loads = LoadedLatentDiffusion

    def __repr__(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"SmallDiffusion({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    @property
    def settings(self) -> PriorTraining:
        """The training alone."""
        return PriorTraining(**{f.name: getattr(self, f.name) for f in fields(PriorTraining)})

    def origin(self) -> dict[str, str]:
        """Trained here, on the training pictures."""
        return {"name": f"{self!r}, trained here", "licence": "that of the real data", "saw": "the training pictures"}

    def sketch(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """The same networks with fresh weights."""
        pipe = untrained(self.settings, data.train)
        return LoadedLatentDiffusion(pipe, label_rows(data.classes), None, device, dtype)

    def work(self, data: RealData, device: torch.device) -> Iterable[Work]:
        """The training of both networks."""
        return training_work(self.settings, data.train, device)

    def check(self, data: RealData) -> None:
        """Raise `UserError` if the sizes do not fit the data."""
        full = complete(self.settings, data.train)
        if full.resolution != data.train.shape[-1]:
            raise UserError(
                f"SmallDiffusion(resolution={full.resolution}) makes pictures of another size than the data "
                f"({data.train.shape[-1]}); leave resolution out, or set size={full.resolution} in `real`"
            )

    def prepare(self, context: object) -> Prior:
        """The trained prior, from the cache if it is there; an interrupted training is resumed.

        Raises:
            UserError: it would have to be trained by several processes at once, which train-prior is for.
        """
        here = cast(Context, context)
        train, settings = here.real.train, self.settings
        key = {"data": train.fingerprint, "settings": repr(complete(settings, train)), "seed": self.seed}
        if not here.store.path("prior", key).exists() and int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError(
                "this prior is not trained yet, and several processes would wait for each other; run once with one "
                "process, or train it with `gendistill train-prior` and use LatentDiffusion(FOLDER)"
            )
        folder = here.store.folder(
            "prior",
            key,
            lambda working: (
                train_prior(
                    train,
                    working,
                    settings,
                    device=here.device,
                    seed=self.seed,
                    progress=here.progress,
                    resume_from_checkpoint="latest",
                    name=here.real.name,
                    licence=here.real.licence,
                )
                and None
            ),
        )
        return LatentDiffusion(str(folder))

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """Raise `UserError`: there are no weights before `prepare`."""
        raise UserError(
            "SmallDiffusion has no weights before it is trained; prepare(context) returns a prior that loads"
        )
