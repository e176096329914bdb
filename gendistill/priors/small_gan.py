"""A GAN prior that is trained on the real pictures themselves, once, and kept in the cache.

StyleGAN2 (Karras et al., CVPR 2020), https://arxiv.org/abs/1912.04958, is what its generator is made of; it is trained as
R3GAN (Huang et al., NeurIPS 2024), https://arxiv.org/abs/2501.05441.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from gendistill.capabilities import LoadedPrior
from gendistill.priors.base import Prior
from gendistill.priors.gan import Gan
from gendistill.priors.loaded_gan import LoadedGan
from gendistill.priors.style_generator import StyleGenerator
from gendistill.priors.train_gan import train_gan
from gendistill.priors.trained_here import TrainedHere
from gendistill.priors.training.gan import build, unchanged
from gendistill.priors.training.gan_settings import GanTraining
from gendistill.priors.training.gan_sizes import complete
from gendistill.priors.training.sketch import step
from gendistill.types import Images, RealData
from gendistill.work import Work


@dataclass(frozen=True, kw_only=True)
class SmallGan(GanTraining, TrainedHere):
    """A small class-conditional GAN trained from random weights on the data of the recipe.

    seed  of the training; runs with other seeds share the prior
    """

    seed: int = 0
    loads = LoadedGan
    training = GanTraining
    train = staticmethod(train_gan)

    __repr__ = TrainedHere.__repr__

    def completed(self, images: Images) -> GanTraining:
        """The settings with nothing left open."""
        return complete(self.settings, images)

    def ready(self, folder: Path) -> Prior:
        """A generator's folder."""
        return Gan(str(folder))

    def sketch(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedPrior:
        """The same generator with fresh weights."""
        game = build(self.completed(data.train), data.train.shape[0], data.classes, 0)
        generator, rows = cast(StyleGenerator, game.generator), tuple(range(len(data.classes)))
        return LoadedGan(generator, rows, device, dtype, lambda: deepcopy(game.discriminator))

    def work(self, data: RealData, device: torch.device) -> Iterable[Work]:
        """The steps of both networks, and those that take the penalty as well."""
        full = self.completed(data.train)
        batch, side, steps = full.train_batch_size, full.resolution, full.max_train_steps
        assert batch and side and steps, "settings are complete"
        game = build(full, data.train.shape[0], data.classes, 0).to(device)
        pixels = torch.rand(batch, data.train.shape[0], side, side, device=device)
        rows, z = (
            torch.zeros(batch, dtype=torch.long, device=device),
            torch.randn(batch, full.noise_size, device=device),
        )
        dear = -(-steps // full.penalty_steps)
        for what, calls, penalty in (("adversary", steps - dear, 0.0), ("adversary with penalty", dear, 1.0)):
            once = step(game, lambda penalty=penalty: game(pixels, rows, z, unchanged, penalty))
            yield Work(what, calls, once, shared=True, rows=batch)
