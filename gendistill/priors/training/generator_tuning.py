"""How a generator is trained further: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gendistill.priors.training.gan import different
from gendistill.priors.training.gan_sizes import check_groups, sizes
from gendistill.priors.training.sizes import check_counts, check_names
from gendistill.types import UserError
from gendistill.views.siamese import Siamese


@dataclass(frozen=True, kw_only=True)
class GeneratorTuning:
    """How a generator is trained further. Names are those of diffusers' example scripts where these have one.

    adversarial         weight of the generator's loss against its discriminator, which learns on beside it; 0 leaves both out
    epochs              passes over the real pictures
    max_train_steps     optimiser steps, instead of ``epochs``
    batch               pictures that are made per step, and as many real ones, over all processes; it holds its classes equally.
                        Against a discriminator, a multiple of 4 in each process
    learning_rate       highest learning rate of Adam, of both networks
    lr_scheduler        a name that diffusers' ``get_scheduler`` knows
    lr_warmup_steps     optimiser steps until the highest learning rate
    ema_decay           of averaged weights, which come out; they begin as the prior's own. 0 for none
    random_flip         the discriminator also sees the real pictures mirrored (not for digits or text)
    augment             what happens to real and made pictures before they are judged; None for nothing
    gradient_penalty    weight of the squared gradients of the scores, as in `GanTraining`; None by the size of the pictures
    penalty_steps       optimiser steps from one penalty to the next, which is so much stronger
    mixed_precision     "no", "bf16" or "fp16"
    checkpointing_steps optimiser steps between checkpoints
    checkpoints_total_limit  how many checkpoints are kept; None all
    seed                of the training; runs with other seeds share the tuned generator
    """

    adversarial: float = 1.0
    epochs: int = 100
    max_train_steps: int | None = None
    batch: int = 64
    learning_rate: float = 1e-4
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    ema_decay: float = 0.0
    random_flip: bool = False
    augment: Siamese | None = Siamese(("color", "crop", "cutout"))
    gradient_penalty: float | None = None
    penalty_steps: int = 4
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing_steps: int = 500
    checkpoints_total_limit: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `UserError` if a number makes no sense by itself."""
        check_names(self)
        names = "epochs max_train_steps batch penalty_steps checkpointing_steps".split()
        check_counts(self, [name for name in names if getattr(self, name) is not None])
        if self.adversarial:
            check_groups("batch", self.batch)
        if self.learning_rate <= 0 or self.adversarial < 0 or not 0 <= self.ema_decay < 1:
            raise UserError(
                f"{type(self).__name__} needs learning_rate > 0, adversarial >= 0 and 0 <= ema_decay < 1, got "
                f"{self.learning_rate}, {self.adversarial} and {self.ema_decay}"
            )
        if self.gradient_penalty is not None and self.gradient_penalty < 0:
            raise UserError(f"gradient_penalty={self.gradient_penalty} must not be below 0")

    def steps(self, pictures: int) -> int:
        """Optimiser steps over so many real pictures."""
        return self.max_train_steps or math.ceil(self.epochs * pictures / self.batch)

    def together(self, classes: int) -> int:
        """How many of the data's classes a batch holds."""
        if self.adversarial:
            return different(self.batch, classes)
        return max(count for count in range(1, classes + 1) if self.batch % count == 0)

    def penalty(self, step: int, side: int) -> float:
        """Weight of the penalty at a step, for pictures of this side; 0 where none is due."""
        weight = sizes(side).gradient_penalty if self.gradient_penalty is None else self.gradient_penalty
        return 0.0 if step % self.penalty_steps else weight * self.penalty_steps
