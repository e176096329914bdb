"""A diffusion prior that is trained on the real pictures themselves, once, and kept in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from gendistill.capabilities import LoadedPrior
from gendistill.priors.base import Prior
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.loaded_dit import LoadedLatentDiffusion
from gendistill.priors.train import train_prior
from gendistill.priors.trained_here import TrainedHere
from gendistill.priors.training.rows import label_rows
from gendistill.priors.training.settings import PriorTraining
from gendistill.priors.training.sizes import complete
from gendistill.priors.training.sketch import untrained
from gendistill.priors.training.sketch import work as training_work
from gendistill.types import Images, RealData
from gendistill.work import Work


@dataclass(frozen=True, kw_only=True)
class SmallDiffusion(PriorTraining, TrainedHere):
    """A small latent diffusion prior trained from random weights on the data of the recipe.

    seed  of the training; runs with other seeds share the prior
    """

    seed: int = 0
    loads = LoadedLatentDiffusion
    training = PriorTraining
    train = staticmethod(train_prior)

    __repr__ = TrainedHere.__repr__

    def completed(self, images: Images) -> PriorTraining:
        """The settings with nothing left open."""
        return complete(self.settings, images)

    def ready(self, folder: Path) -> Prior:
        """A pipeline folder."""
        return LatentDiffusion(str(folder))

    def sketch(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """The same networks with fresh weights."""
        pipe = untrained(self.settings, data.train)
        return LoadedLatentDiffusion(pipe, label_rows(data.classes), None, device, dtype)

    def work(self, data: RealData, device: torch.device) -> Iterable[Work]:
        """The training of both networks."""
        return training_work(self.settings, data.train, device)
