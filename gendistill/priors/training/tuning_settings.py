"""How a prior is fine-tuned by itself, outside a recipe. Names are those of diffusers' example scripts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gendistill.priors.lora import LoRA
from gendistill.priors.parameters import Parameters
from gendistill.priors.training.claim import FREE
from gendistill.priors.training.sizes import check_counts, check_names
from gendistill.types import UserError

ALSO_FREE = (
    *FREE,
    *("validation_prompt", "validation_steps", "num_validation_images", "num_inference_steps", "guidance_scale"),
)
"""Settings that do not change the weights."""


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Settings of a fine-tuning.

    resolution                   side of the pictures, in pixels; None for the prior's own
    random_flip                  also learn the mirrored pictures (not for digits or text)
    parameters                   what is trained: LoRA(...), Everything() or DiffFit(...)
    rank                         of the changes of LoRA; None leaves it as ``parameters`` says
    lora_alpha                   LoRA's changes are scaled by lora_alpha / rank; None for the rank, where one is given
    num_train_epochs             passes over the pictures
    max_train_steps              optimiser steps, instead of epochs
    train_batch_size             pictures per forward pass, over all processes
    classes                      different classes in a batch, each with as many pictures; None as many as divide it
    gradient_accumulation_steps  forward passes per optimiser step
    gradient_checkpointing       compute activations again on the way back: slower, in less memory
    learning_rate                highest learning rate; a tenth of it suits Everything()
    lr_scheduler                 a name that diffusers' ``get_scheduler`` knows
    lr_warmup_steps              optimiser steps until the highest learning rate
    adam_weight_decay            AdamW's weight decay
    max_grad_norm                gradients longer than this are shortened to it
    ema_decay                    of averaged weights, which come out; 0 for none
    proportion_empty_prompts     share of pictures that ask for nothing, for classifier-free guidance
    snr_gamma                    weigh the loss by min(signal / noise, gamma), 5 in the paper; not for flow matching
    window                       (from, to) in training time, 1 = noise: objectives look at pictures in between
    mixed_precision              "no", "bf16" or "fp16"
    checkpointing_steps          optimiser steps between checkpoints
    checkpoints_total_limit      how many checkpoints are kept; None all
    validation_prompt            what is drawn while it trains; None for the first classes
    num_validation_images        pictures of each; 0 draws none
    validation_steps             optimiser steps from one drawing to the next; there is one at the start and one at the end
    num_inference_steps          of a drawing
    guidance_scale               classifier-free guidance of a drawing; None: 1 where guidance was distilled in, else 4
    """

    resolution: int | None = None
    random_flip: bool = False
    parameters: Parameters = LoRA(rank=4, alpha=4)
    rank: int | None = None
    lora_alpha: int | None = None
    num_train_epochs: int = 10
    max_train_steps: int | None = None
    train_batch_size: int = 8
    classes: int | None = None
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    learning_rate: float = 1e-4
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    adam_weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0
    proportion_empty_prompts: float = 0.1
    snr_gamma: float | None = None
    window: tuple[float, float] = (0.0, 1.0)
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing_steps: int = 500
    checkpoints_total_limit: int | None = 1
    validation_prompt: str | None = None
    num_validation_images: int = 4
    validation_steps: int = 500
    num_inference_steps: int = 25
    guidance_scale: float | None = None

    def __post_init__(self) -> None:
        check_names(self)
        counts = "resolution max_train_steps num_train_epochs train_batch_size classes gradient_accumulation_steps"
        names = f"{counts} checkpointing_steps validation_steps num_inference_steps".split()
        check_counts(self, [name for name in names if getattr(self, name) is not None])
        if not 0 <= self.proportion_empty_prompts < 1 or self.num_validation_images < 0:
            raise UserError(
                f"proportion_empty_prompts={self.proportion_empty_prompts} must be in [0, 1) and num_validation_images="
                f"{self.num_validation_images} not below 0"
            )
        _ = self.trained

    @property
    def trained(self) -> Parameters:
        """What is trained, rank and alpha as given."""
        if self.rank is None and self.lora_alpha is None:
            return self.parameters
        if not isinstance(self.parameters, LoRA):
            raise UserError(
                f"rank and lora_alpha are LoRA's, and parameters={self.parameters} has none: leave them out"
            )
        rank = self.parameters.rank if self.rank is None else self.rank
        alpha = self.parameters.alpha if self.rank is None else rank
        return replace(self.parameters, rank=rank, alpha=alpha if self.lora_alpha is None else self.lora_alpha)
