"""What a denoiser is asked in one step of its tuning: real latents, each with noise of a level of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.capabilities import Prompted
from gendistill.priors.heads import rows_like
from gendistill.priors.training.denoiser import spread_times
from gendistill.priors.training.loop import Batch
from gendistill.priors.training.tuning import Tuning
from gendistill.types import Conditions, Level


@dataclass(frozen=True)
class RealLatents:
    """Latents of the real pictures on the CPU, one tensor per class, which may lie on disk.

    mirrored  those of the pictures mirrored left to right; empty where they are not wanted
    """

    classes: tuple[Tensor, ...]
    mirrored: tuple[Tensor, ...] = ()

    @property
    def counts(self) -> list[int]:
        """Pictures of each class."""
        return [len(latents) for latents in self.classes]

    def labels(self, positions: Tensor) -> Tensor:
        """The class of the pictures at these positions, which count class after class."""
        return torch.bucketize(positions, torch.tensor(self.counts).cumsum(0), right=True)

    def read(self, positions: Tensor, mirror: Tensor) -> Tensor:
        """The latents at these positions, (n, *latent_shape) float32; those that ``mirror`` marks, mirrored."""
        labels = self.labels(positions)
        places = positions - torch.tensor([0, *self.counts]).cumsum(0)[labels]
        asked = zip(labels.tolist(), places.tolist(), mirror.tolist(), strict=True)
        return torch.stack([(self.mirrored if flip else self.classes)[label][place] for label, place, flip in asked])


@dataclass(frozen=True)
class Look:
    """Some real latents at noise levels of their own, and what the denoiser is asked about them."""

    real: Tensor
    x: Tensor
    level: Level
    conditions: Conditions
    labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Look:
        there = rows.to(self.real.device) if isinstance(rows, Tensor) else rows
        alpha, sigma, time = (torch.as_tensor(v)[there] for v in (self.level.alpha, self.level.sigma, self.level.time))
        level, conditions = Level(alpha, sigma, time), self.conditions[there]
        return Look(self.real[there], self.x[there], level, conditions, self.labels[rows], self.ids[rows])


def acting(look: Look, clean: Tensor, window: tuple[float, float]) -> tuple[Look, Tensor]:
    """The rows of a look, and of the clean estimates, that are in a window of training time."""
    if window == (0, 1):
        return look, clean
    time = torch.as_tensor(look.level.time)
    rows = ((time >= window[0]) & (time <= window[1])).cpu()
    return look[rows], clean[rows.to(clean.device)]


def draw(prior: Any, tuning: Tuning, real: RealLatents, now: Batch, device: torch.device) -> Look:
    """The whole batch of a step, the same in every process.

    Times are uniform over the training steps: of a flow too, where the training scripts of SD3 and Sana draw them logit-normal,
    from a schedule that is shifted towards noise.
    """
    dice, count = now.dice, len(now.positions)
    # Times are spread evenly in the order of the pictures, which come class by class: shuffled, none gets all the noise.
    times = spread_times(count, prior.schedule.total, dice)[torch.randperm(count, generator=dice)]
    hidden = torch.rand(count, generator=dice) < tuning.class_dropout_prob
    mirror = torch.rand(count, generator=dice) < (0.5 if tuning.random_flip else 0.0)
    clean = real.read(now.positions, mirror)
    noise = torch.randn(clean.shape, generator=dice).to(device)
    clean, labels = clean.to(device), real.labels(now.positions)
    # The first step of a flow holds no noise: no head can be judged there.
    level = prior.schedule.levels((times + int(prior.schedule.flow)).to(device))
    x = rows_like(level.alpha, clean) * clean + rows_like(level.sigma, clean) * noise
    slots = torch.arange(count) % (count // tuning.together(len(real.classes)))
    ids = torch.stack([labels, slots, torch.zeros_like(slots)], 1)
    return Look(clean, x, level, ask_nothing(asked(prior, labels, dice), hidden), labels, ids)


def asked(prior: Any, labels: Tensor, dice: torch.Generator) -> Conditions:
    """Conditions that ask for these classes: of several prompts of a class, any. To ask for nothing is the empty prompt."""
    if not isinstance(prior, Prompted):
        return prior.condition(labels)
    turns = torch.randint(2**31, (len(labels),), generator=dice)
    return prior.condition_on(prior.prompts(labels, turns), negative="")


def ask_nothing(conditions: Conditions, hidden: Tensor) -> Conditions:
    """The conditions, the null row in the place of those that are marked."""

    def chosen(value: Tensor, null: Tensor) -> Tensor:
        return torch.where(rows_like(hidden.to(value.device), value), null, value)  # type: ignore[arg-type]

    null = conditions.null
    return Conditions({k: chosen(v, null[k]) if k in null else v for k, v in conditions.values.items()}, null)
