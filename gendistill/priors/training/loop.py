"""The one loop that trains every network of a prior, on accelerate: resumable to the bit, the same for any number of processes.

All randomness of a step follows from (seed, stage, step): a run that was killed and resumed ends with the weights of
one that was not. Every process draws the whole batch and works on its slice, so batches do not depend on their number.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from gendistill import seeds
from gendistill.priors.training import checkpoints
from gendistill.system.environment import keep_memory
from gendistill.types import UserError

log = logging.getLogger("gendistill")
TELLS = 20
"""How often a stage tells its loss."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Batch:
    """What one process does in one forward pass.

    positions  of the whole batch's pictures, in the training data
    dice       the random stream of this pass, for the whole batch; the same in every process
    mine       the part of the batch that this process works on
    step       optimiser steps done before
    """

    positions: Tensor
    dice: torch.Generator
    mine: slice
    step: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One network to be trained: those of its parameters that require a gradient.

    loss     gives the mean loss over this process's part of a batch
    eval     train in eval mode: what a network does in training only (label dropout) stays off
    order    which pictures come at ``count`` places from ``start`` on; None for shuffled epochs
    averaged the part of the model whose parameters ``ema`` averages; None for all of it
    state    what changes while training beside weights, such as a memory: it is in the checkpoints
    after    called after every optimiser step
    watch    called before a loss is told or a checkpoint is written; raises where training went wrong
    """

    name: str
    folder: Path
    model: nn.Module
    loss: Callable[[nn.Module, Batch], Tensor]
    pictures: int
    steps: int
    batch: int
    accumulation: int
    learning_rate: float
    weight_decay: float
    lr_scheduler: str
    warmup: int
    max_grad_norm: float | None
    ema: EMAModel | None
    checkpointing_steps: int
    checkpoints_total_limit: int | None
    betas: tuple[float, float] = (0.9, 0.99)
    eval: bool = False
    order: Callable[[int, int], Tensor] | None = None
    averaged: nn.Module | None = None
    state: tuple[Any, ...] = ()
    after: Callable[[], None] = nothing
    watch: Callable[[], None] = nothing


def launch(device: torch.device, mixed_precision: str, accumulation: int) -> Accelerator:
    """An accelerator of this stage's own; several processes are started by ``torchrun``."""
    keep_memory()
    AcceleratorState._reset_state(True)  # settings of an earlier Accelerator of this process would be refused or kept
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # a single process would take the first GPU, not the one that was asked for
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed_precision,
        gradient_accumulation_steps=accumulation,
        # without it the learning rate would fall once per process and step
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )


def order(pictures: int, seed: int) -> Callable[[int, int], Tensor]:
    """``take(start, count)``: which pictures come at these places of an endless sequence of shuffled epochs."""
    epoch_now, shuffled = -1, torch.empty(0, dtype=torch.long)

    def epoch(number: int) -> Tensor:
        nonlocal epoch_now, shuffled
        if number != epoch_now:
            epoch_now, shuffled = number, torch.randperm(pictures, generator=seeds.stream(seed, "epoch", number))
        return shuffled

    def take(start: int, count: int) -> Tensor:
        parts = []
        while count:
            number, offset = divmod(start, pictures)
            part = epoch(number)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts)

    return take


def optimize(
    stage: Stage, accelerator: Accelerator, *, seed: int, resume: Path | None, progress: Callable[..., Iterable]
) -> nn.Module:
    """Train ``stage.model`` in place and return it; with its averaged parameters where the stage keeps an average.

    Raises:
        UserError: the batch does not divide among the processes.
    """
    processes = accelerator.num_processes
    if stage.batch % processes:
        raise UserError(
            f"{stage.name}: a batch of {stage.batch} pictures does not divide among {processes} processes; "
            f"nearest that does: {math.ceil(stage.batch / processes) * processes}"
        )
    share = stage.batch // processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
    parameters, averaged = trained(stage.model), trained(stage.averaged or stage.model)
    optimizer = torch.optim.AdamW(
        parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay, betas=stage.betas, fused=True
    )
    schedule = get_scheduler(
        stage.lr_scheduler, optimizer, num_warmup_steps=stage.warmup, num_training_steps=stage.steps
    )
    model, optimizer, schedule = accelerator.prepare(stage.model, optimizer, schedule)
    if stage.ema is not None:
        accelerator.register_for_checkpointing(stage.ema)
    accelerator.register_for_checkpointing(*stage.state)
    accelerator.register_save_state_pre_hook(leave_out_frozen)
    done = 0
    if resume is not None:
        accelerator.load_state(str(resume), strict=not any(True for _ in frozen(model)))
        done = checkpoints.step_of(resume)
        log.info("%s: resuming after step %d", stage.name, done)
    if stage.ema is not None:
        stage.ema.to(accelerator.device)  # only now: what was loaded lies on the CPU
    take = stage.order or order(stage.pictures, seeds.number(seed, stage.name))
    span = stage.batch * stage.accumulation
    model.train(not stage.eval)
    shown = range(done, stage.steps)
    for step in progress(shown, stage.name, len(shown)) if accelerator.is_main_process else shown:
        total = torch.zeros((), device=accelerator.device)
        for turn in range(stage.accumulation):
            with accelerator.accumulate(model):
                positions = take(step * span + turn * stage.batch, stage.batch)
                loss = stage.loss(model, Batch(positions, seeds.stream(seed, stage.name, step, turn), mine, step))
                accelerator.backward(loss)
                total += loss.detach() / stage.accumulation
                if accelerator.sync_gradients and stage.max_grad_norm is not None:
                    accelerator.clip_grad_norm_(parameters, stage.max_grad_norm)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
        if stage.ema is not None:
            stage.ema.step(averaged)
        stage.after()
        last = step + 1 == stage.steps
        if last or (step + 1) % max(1, stage.steps // TELLS) == 0:
            stage.watch()
            tell(stage, accelerator, step + 1, total)
        if (step + 1) % stage.checkpointing_steps == 0 and not last:
            stage.watch()
            checkpoints.save(accelerator, stage.folder, step + 1, stage.checkpoints_total_limit)
    checkpoints.drop(
        accelerator, stage.folder, stage.checkpoints_total_limit
    )  # a kill may have come before an earlier one
    if stage.ema is not None:
        stage.ema.copy_to(averaged)
    return accelerator.unwrap_model(model).eval()


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def frozen(model: nn.Module) -> Iterable[str]:
    """Names of the parameters that require no gradient."""
    return (name for name, parameter in model.named_parameters() if not parameter.requires_grad)


def leave_out_frozen(models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
    """Keep out of a checkpoint what is not trained: low-rank changes of a large network then make a small one."""
    for model, state in zip(models, weights, strict=True):
        for name in frozen(model):
            state.pop(name, None)


def tell(stage: Stage, accelerator: Accelerator, step: int, loss: Tensor) -> None:
    """Log the loss of all processes; stop on one that is not a number."""
    value = float(accelerator.reduce(loss, reduction="mean"))  # type: ignore[arg-type]
    if not math.isfinite(value):
        raise UserError(
            f"{stage.name}: the loss is {value} at step {step}; a lower learning rate "
            f'(now {stage.learning_rate:g}) or mixed_precision="no" would help'
        )
    if accelerator.is_main_process:
        log.info("%s: step %d of %d, loss %.4f", stage.name, step, stage.steps, value)
