"""Training a prior's denoiser further on the latents of real pictures, together with what else is wanted of its answers.

    x = alpha z + sigma e,   loss = mean | head(x) - target |^2 + sum over wishes of weight * sum(loss) / pictures

The head is trained on its own target, be it noise, velocity, flow or the sample, through its clean estimate c: for each
level there is one known factor with head(x) - target = factor (c - z). A learned variance has no loss of its own: its rows
of the last layer stay, and what they answer follows the layers before them.

Min-SNR (Hang et al., ICCV 2023), https://arxiv.org/abs/2303.09556, weighs |c - z|^2 by min(alpha^2 / sigma^2, gamma): whatever
the head predicts, so that its own factor has no part in it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from gendistill import seeds
from gendistill.draft import Synthetic
from gendistill.priors.heads import rows_like
from gendistill.priors.training import checkpoints
from gendistill.priors.training.balance import balanced
from gendistill.priors.training.denoiser import attention
from gendistill.priors.training.look import Look, RealLatents, acting, draw
from gendistill.priors.training.loop import Batch, Stage, launch, optimize, trained
from gendistill.priors.training.tuning import Tuning
from gendistill.priors.training.wishes import Terms, Wish, among_all, whole_periods
from gendistill.system.store import clear_parts
from gendistill.types import LATENT, Latents, Pixels, UserError

NAME = "fine-tune"
ADAPTER = "adapter"
"""The folder, beside the merged weights, of what was added to them."""
KEPT = 0.5
"""Share of the prior's own weights in the average beyond which a training is told to have changed little."""
log = logging.getLogger("gendistill")


@dataclass(frozen=True)
class Show:
    """Who looks at what a training has come to: every so many steps, and at the end.

    look  is given the prior as it is now, and how many steps are done
    """

    look: Callable[[Any, int], None]
    every: int


@dataclass(frozen=True)
class Task:
    """What is to be trained, on what, and towards what.

    prior   one that encodes, denoises and trains
    real    latents of the real pictures
    decode  pixels of clean latents, for wishes that look at them
    """

    prior: Any
    tuning: Tuning
    real: RealLatents
    wishes: Sequence[Wish]
    decode: Callable[[Latents], Pixels]


def diffusion_loss(prior: Any, look: Look, clean: Tensor, snr_gamma: float | None = None) -> Tensor:
    """Mean squared error of what the head predicts."""
    error, level = clean - look.real, look.level
    if snr_gamma is None:
        return (rows_like(prior.head_error(level), error) * error).square().mean()
    ratio = torch.as_tensor(level.alpha / level.sigma).square().clamp_max(snr_gamma)
    return (rows_like(ratio, error) * error.square()).mean()


def build_stage(
    task: Task,
    folder: Path,
    device: torch.device,
    *,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    processes: int = 1,
) -> Stage:
    """The training as a stage of the loop.

    Every process works on its part of a batch. A wish for whole batches is looked at in each of them, with the estimates of
    the others as numbers; ``processes`` times its gradient then average to what one process would have.

    gather  joins a tensor of every process along its rows, in their order
    """
    prior, tuning, real, wishes = task.prior, task.tuning, task.real, task.wishes
    model = ready(prior, tuning)
    live, total = prior.with_denoiser(model), sum(real.counts)
    steps, names = tuning.steps(total), ["the diffusion loss", *(wish.name for wish in wishes)]
    memories = [wish.memory for wish in wishes if wish.memory is not None]
    for memory in memories:  # so that they know of the tuning before its first step
        nothing = torch.empty(0, *prior.latent_shape, device=device)
        memory.remember(nothing, torch.empty(0, dtype=torch.long), nothing)
    sums = Terms(names, device)
    seen: list[tuple[Look, Tensor]] = []

    def share(wish: Wish, look: Look, clean: Tensor, step: int) -> Tensor:
        count = len(look)
        look, clean = acting(look, clean, tuning.window)
        if not len(look):
            return clean.new_zeros(())
        given = {"x": look.x, "level": look.level, "conditions": look.conditions, "step": step, "decode": task.decode}
        return wish.term(Synthetic(live, {LATENT: clean}, look.ids, look.labels, **given), count, processes)

    def loss(prepared: nn.Module, now: Batch) -> Tensor:
        look = draw(prior, tuning, real, now, device)
        mine = look[now.mine]
        # What is computed again on the way back must meet the same kernel, and there the choice has ended.
        with nullcontext() if tuning.gradient_checkpointing else attention(device, tuning.mixed_precision):
            clean = prior.with_denoiser(prepared).denoise(mine.x, mine.level, mine.conditions).clean
        everyone = clean
        if processes > 1 and (memories or any(wish.whole for wish in wishes)):
            everyone = among_all(clean, now.mine, gather)
        terms = [diffusion_loss(prior, mine, clean, tuning.snr_gamma)]
        for wish in wishes:
            terms.append(share(wish, *((look, everyone) if wish.whole else (mine, clean)), now.step))
        if memories:
            seen.append((look, everyone.detach()))
        return sums.total(terms, now.step)

    def remember() -> None:
        for shown in seen:
            look, clean = acting(*shown, tuning.window)
            for memory in memories:
                memory.remember(clean, look.labels, look.real)
        seen.clear()

    return Stage(
        name=NAME,
        folder=folder,
        model=model,
        loss=loss,
        pictures=total,
        steps=steps,
        batch=tuning.batch,
        accumulation=tuning.gradient_accumulation_steps,
        learning_rate=tuning.learning_rate,
        weight_decay=tuning.weight_decay,
        lr_scheduler=tuning.lr_scheduler,
        warmup=min(tuning.lr_warmup_steps, steps // 2),
        max_grad_norm=tuning.max_grad_norm,
        ema=averaged(model, tuning.ema_decay),
        checkpointing_steps=whole_periods(tuning.checkpointing_steps, wishes),
        checkpoints_total_limit=tuning.checkpoints_total_limit,
        betas=(0.9, 0.999),
        eval=True,
        order=balanced(real.counts, tuning.together(len(real.classes)), tuning.seed),
        state=tuple(memories),
        after=remember,
        watch=lambda: sums.check("fine-tuning", tuning.learning_rate, gather),
    )


def ready(prior: Any, tuning: Tuning) -> nn.Module:
    """A copy of the prior's denoiser, ready to be trained.

    Raises:
        UserError: it has not what is to be trained, or cannot do what it is to do meanwhile.
    """
    denoiser = prior.trainable()
    if tuning.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    if tuning.snr_gamma is not None and prior.schedule.flow:
        raise UserError("snr_gamma is for variance preserving diffusion, and this prior was trained by flow matching")
    return tuning.parameters.attach(denoiser, tuning.seed, prior.lora_layers)


def averaged(model: nn.Module, decay: float) -> EMAModel | None:
    """The average of what is trained, with the same decay from the first step on: what was there before counts too."""
    if decay == 0:
        return None
    return EMAModel(trained(model), decay=decay, min_decay=float(decay), update_after_step=-1, foreach=True)


def tune_denoiser(task: Task, folder: Path, device: torch.device, progress: Callable[..., Iterable]) -> None:
    """Train, and write the tuned prior into ``folder`` as a pipeline. An interrupted training goes on at its last checkpoint.

    Raises:
        Diverged: a loss is not finite; names it and the step.
    """
    tuning = task.tuning
    accelerator = launch(device, tuning.mixed_precision, tuning.gradient_accumulation_steps)
    if accelerator.is_main_process:
        clear_parts(folder)
    accelerator.wait_for_everyone()
    resume = checkpoints.chosen(folder, "latest")
    model = train(task, folder, accelerator, resume=resume, progress=progress)
    if accelerator.is_main_process:
        write(task, model, folder)
        for checkpoint in checkpoints.found(folder).values():
            shutil.rmtree(checkpoint)
    accelerator.wait_for_everyone()


def write(task: Task, model: nn.Module, folder: Path) -> None:
    """Write the whole tuned pipeline, and what was added to it apart."""
    prior, parameters = task.prior, task.tuning.parameters
    parameters.keep(model, folder / ADAPTER, prior)
    prior.with_denoiser(parameters.merge(model)).save(folder)


def train(
    task: Task,
    folder: Path,
    accelerator: Accelerator,
    *,
    resume: Path | None,
    progress: Callable[..., Iterable],
    show: Show | None = None,
) -> nn.Module:
    """The trained denoiser, with what was added to it. Checkpoints go into ``folder``.

    Raises:
        Diverged: a loss is not finite; names it and the step.
    """
    tuning, gather = task.tuning, cast(Any, accelerator.gather)
    stage = build_stage(task, folder, accelerator.device, gather=gather, processes=accelerator.num_processes)
    if accelerator.is_main_process:
        if tuning.ema_decay**stage.steps > KEPT:
            log.warning(
                "the tuned weights will be %.0f %% the prior's own: ema_decay=%g averages over more than these %d steps; "
                "lower it to be changed more",
                100 * tuning.ema_decay**stage.steps,
                tuning.ema_decay,
                stage.steps,
            )
        if show is not None:
            stage = shown(stage, task.prior, 0 if resume is None else checkpoints.step_of(resume), show)
    return optimize(stage, accelerator, seed=tuning.seed, resume=resume, progress=progress)


def shown(stage: Stage, prior: Any, done: int, show: Show) -> Stage:
    """The stage, that shows what it has come to while it trains: its averaged weights, where there are such."""
    live = prior.with_denoiser(stage.model)

    def look() -> None:
        if stage.ema is None:
            show.look(live, done)
            return
        stage.ema.store(trained(stage.model))
        stage.ema.copy_to(trained(stage.model))
        try:
            show.look(live, done)
        finally:
            stage.ema.restore(trained(stage.model))

    def after() -> None:
        nonlocal done
        stage.after()
        done += 1
        if done % show.every == 0 or done == stage.steps:
            look()

    return replace(stage, after=after)


def one_step(task: Task, device: torch.device) -> Callable[[], None]:
    """One optimiser step of a throw-away copy, to be timed."""
    stage = build_stage(task, Path(), device)
    model, parameters, ema, take = stage.model.to(device), trained(stage.model), stage.ema, stage.order
    optimizer = torch.optim.AdamW(parameters, lr=1e-9, fused=True)
    assert take is not None
    if ema is not None:
        ema.to(device)

    @torch.enable_grad()
    def once() -> None:
        dice = seeds.stream("one step")
        stage.loss(model, Batch(take(0, stage.batch), dice, slice(0, stage.batch), 0)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if ema is not None:
            ema.step(parameters)
        stage.after()

    return once
