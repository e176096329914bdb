"""How a denoiser is trained further: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gendistill.priors.difffit import DiffFit
from gendistill.priors.parameters import Parameters
from gendistill.priors.training.sizes import check_names
from gendistill.types import UserError


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a denoiser is trained further. Names are those of diffusers' example scripts where these have one.

    parameters          what is trained
    epochs              passes over the real pictures
    max_train_steps     optimiser steps, instead of ``epochs``
    batch               pictures per forward pass, over all processes
    gradient_accumulation_steps  forward passes per optimiser step; to an objective, one of them is the set
    gradient_checkpointing  compute activations again on the way back: slower, in less memory
    classes             different classes in a batch, each with as many pictures; None as many as divide ``batch``
    learning_rate       highest learning rate of AdamW
    lr_scheduler        a name that diffusers' ``get_scheduler`` knows
    lr_warmup_steps     optimiser steps until the highest learning rate
    weight_decay        of AdamW; it also shrinks the label rows that no picture asks for
    max_grad_norm       gradients longer than this are shortened to it; None leaves them
    ema_decay           of the averaged weights, which come out; they begin as the prior's own and keep ema_decay ** steps of these
    class_dropout_prob  share of pictures that ask for no class, for classifier-free guidance; 0 leaves the null row alone
    snr_gamma           weigh the diffusion loss by min(signal / noise, gamma) (Min-SNR, Hang et al., ICCV 2023, proposes 5)
    window              (from, to) in training time, 1 = noise: objectives look at pictures where from <= time <= to
    random_flip         also learn the mirrored pictures (not for digits or text)
    mixed_precision     "no", "bf16" or "fp16"
    checkpointing_steps optimiser steps between checkpoints
    checkpoints_total_limit  how many checkpoints are kept; None all
    seed                of the training; runs with other seeds share the tuned prior
    """

    parameters: Parameters = DiffFit()
    epochs: int = 8
    max_train_steps: int | None = None
    batch: int = 8
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    classes: int | None = None
    learning_rate: float = 1e-3
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    ema_decay: float = 0.9999
    class_dropout_prob: float = 0.1
    snr_gamma: float | None = None
    window: tuple[float, float] = (0.0, 1.0)
    random_flip: bool = False
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing_steps: int = 500
    checkpoints_total_limit: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `UserError` if a number makes no sense by itself, or two contradict each other."""
        name, low, high = type(self).__name__, *self.window
        counts = (self.epochs, self.batch, self.gradient_accumulation_steps, self.checkpointing_steps)
        maybe = (self.max_train_steps, self.classes, self.checkpoints_total_limit)
        counted = min(*counts, *(number for number in maybe if number is not None)) >= 1
        if not counted or not 0 < self.learning_rate < math.inf:
            raise UserError(
                f"{name} needs epochs, max_train_steps, batch, classes, gradient_accumulation_steps, checkpointing_steps and "
                f"checkpoints_total_limit of at least 1 and learning_rate > 0, got {self}"
            )
        if self.snr_gamma is not None and self.snr_gamma <= 0:
            raise UserError(f"snr_gamma={self.snr_gamma} must be above 0: it weighs the diffusion loss")
        if self.classes is not None and self.batch % self.classes:
            near = math.ceil(self.batch / self.classes) * self.classes
            raise UserError(
                f"batch={self.batch} cannot hold classes={self.classes} equally; nearest that does: batch={near}"
            )
        if not (0 <= self.ema_decay < 1 and 0 <= self.class_dropout_prob < 1):
            raise UserError(
                f"{name} needs 0 <= ema_decay < 1 and 0 <= class_dropout_prob < 1, got ema_decay={self.ema_decay}, "
                f"class_dropout_prob={self.class_dropout_prob}"
            )
        if not 0 <= low < high <= 1:
            raise UserError(
                f"window={self.window} must be (from, to) in training time with 0 <= from < to <= 1; 1 is noise"
            )
        check_names(self)

    def steps(self, pictures: int) -> int:
        """Optimiser steps over so many real pictures."""
        return self.max_train_steps or math.ceil(
            self.epochs * pictures / (self.batch * self.gradient_accumulation_steps)
        )

    def together(self, classes: int) -> int:
        """How many of the data's classes a batch holds."""
        return self.classes or max(count for count in range(1, classes + 1) if self.batch % count == 0)
