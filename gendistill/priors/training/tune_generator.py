"""Training a generator further: against its own discriminator, which learns on beside it, and towards what else is wanted.

    generator      adversarial * mean softplus(D(real) - D(made)) + sum over wishes of weight * sum(loss) / pictures
    discriminator  as in gan.py, where these losses are from

A batch of real pictures holds its classes equally, and as many pictures of these classes are made.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.draft import Synthetic
from gendistill.priors.training import checkpoints
from gendistill.priors.training.balance import balanced
from gendistill.priors.training.finetune import averaged
from gendistill.priors.training.gan import BETAS, Change, Game, changing
from gendistill.priors.training.gan_sizes import check_groups
from gendistill.priors.training.generator_tuning import GeneratorTuning
from gendistill.priors.training.loop import Batch, Stage, launch, optimize, trained
from gendistill.priors.training.reading import mirrored
from gendistill.priors.training.wishes import Terms, Wish, among_all, whole_periods
from gendistill.system.store import clear_parts, write_text
from gendistill.types import Images, Labels, Pixels

NAME = "tune generator"
NEVER = 1 << 40
"""More steps than any training has."""

CARD = """# A generator that was tuned

The generator of a class-conditional GAN (fingerprint `{prior}`), trained further with gendistill on {pictures:,} pictures
(fingerprint `{data}`) by

```python
{made}
```
"""


@dataclass(frozen=True)
class Task:
    """What is to be trained, on what, and towards what.

    prior       one that generates and learns; it is judged where that counts
    images      the real pictures
    read        gives some of them, in [0, 1], on the device
    statistics  mean and deviation of each of their channels, in pixel units
    """

    prior: Any
    tuning: GeneratorTuning
    images: Images
    read: Callable[[Tensor], Pixels]
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    wishes: Sequence[Wish]


class Tuned(Game):
    """A game that also shows what was made, so that one pass of the generator serves all that look at it."""

    def forward(  # type: ignore[override]
        self, real: Pixels, rows: Labels, z: Tensor, change: Change, penalty: float
    ) -> tuple[Pixels, Tensor, Tensor]:
        """Made pictures, the loss of the discriminator, and that of the generator against it."""
        made = self.generator(z, rows)
        return made, *self.losses(real, made, rows, change, penalty)


def build_stage(
    task: Task,
    folder: Path,
    device: torch.device,
    *,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    processes: int = 1,
) -> Stage:
    """The training as a stage of the loop.

    Every process makes its part of a batch. A wish for whole batches looks at it in each of them, with the pictures of the
    others as numbers; ``processes`` times its gradient then average to what one process would have.

    gather  joins a tensor of every process along its rows, in their order
    """
    prior, tuning, labels, wishes = task.prior, task.tuning, task.images.labels, task.wishes
    generator = prior.trainable()
    model = Tuned(generator, prior.judge()) if tuning.adversarial else generator
    live, rows, side = prior.with_networks(generator, None), prior.rows.to(device), task.images.shape[-1]
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in task.statistics)
    counts = torch.bincount(labels, minlength=len(task.images.classes)).tolist()
    by_class, together = labels.argsort(stable=True), tuning.together(len(counts))
    take, steps = balanced(counts, together, seeds.number(tuning.seed, NAME)), tuning.steps(len(labels))
    slots = torch.arange(tuning.batch) % (tuning.batch // together)
    names = ["the discriminator's loss", "the adversarial loss", *(wish.name for wish in wishes)]
    sums = Terms(names, device)

    def play(prepared: nn.Module, now: Batch, z: Tensor, asked: Labels) -> tuple[Pixels, list[Tensor]]:
        if not tuning.adversarial:
            made = prepared(z, asked)
            return made, [made.new_zeros(()), made.new_zeros(())]
        flip, real = torch.rand(tuning.batch, generator=now.dice) < 0.5, task.read(now.positions[now.mine])
        if tuning.random_flip:
            real = mirrored(real, flip[now.mine].to(device))
        change = changing(tuning.augment, now, (mean, std))
        made, learned, fooling = prepared(real, asked, z, change, tuning.penalty(now.step, side))
        return made, [learned, tuning.adversarial * fooling]

    def loss(prepared: nn.Module, now: Batch) -> Tensor:
        whole, classes = slice(0, tuning.batch), labels[now.positions]
        z, asked = torch.randn((tuning.batch, *prior.latent_shape), generator=now.dice).to(device), rows[classes]
        made, terms = play(prepared, now, z[now.mine], asked[now.mine])
        everyone = made
        if processes > 1 and any(wish.whole for wish in wishes):
            everyone = among_all(made, now.mine, gather)
        ids = torch.stack([classes, slots, torch.zeros_like(slots)], 1)
        with torch.no_grad():
            begun = live.generate({live.spaces[0]: z}, classes)
        for wish in wishes:
            part, pixels = (whole, everyone) if wish.whole else (now.mine, made)
            latents = {name: value[part] for name, value in begun.items()}
            shown = Synthetic(live, latents, ids[part], classes[part], step=now.step, decode=lambda _, p=pixels: p)
            terms.append(wish.term(shown, len(pixels), processes))
        return sums.total(terms, now.step)

    return Stage(
        name=NAME,
        folder=folder,
        model=model,
        loss=loss,
        pictures=len(labels),
        order=lambda start, count: by_class[take(start, count)],
        steps=steps,
        batch=tuning.batch,
        accumulation=1,
        learning_rate=tuning.learning_rate,
        weight_decay=0.0,
        lr_scheduler=tuning.lr_scheduler,
        warmup=min(tuning.lr_warmup_steps, steps // 2),
        max_grad_norm=None,
        ema=averaged(generator, tuning.ema_decay),
        averaged=generator,
        checkpointing_steps=whole_periods(tuning.checkpointing_steps, wishes),
        checkpoints_total_limit=tuning.checkpoints_total_limit,
        betas=BETAS,
        watch=lambda: sums.check("tuning the generator", tuning.learning_rate, gather),
    )


def tune_networks(task: Task, folder: Path, device: torch.device, progress: Callable[..., Iterable]) -> None:
    """Train, and write the tuned networks into ``folder``. An interrupted training goes on at its last checkpoint.

    Raises:
        UserError: the processes cannot share a batch in whole groups.
        Diverged: a loss is not finite; names it and the step.
    """
    tuning = task.tuning
    accelerator = launch(device, tuning.mixed_precision, 1)
    if tuning.adversarial:
        check_groups("batch", tuning.batch, accelerator.num_processes)
    if accelerator.is_main_process:
        clear_parts(folder)
    accelerator.wait_for_everyone()
    resume, gather = checkpoints.chosen(folder, "latest"), cast(Any, accelerator.gather)
    stage = build_stage(task, folder, accelerator.device, gather=gather, processes=accelerator.num_processes)
    model = optimize(stage, accelerator, seed=tuning.seed, resume=resume, progress=progress)
    if accelerator.is_main_process:
        nets = (model.generator, model.discriminator) if isinstance(model, Tuned) else (model, None)
        task.prior.with_networks(*nets).keep(folder)
        about = {"prior": task.prior.fingerprint, "data": task.images.fingerprint, "pictures": len(task.images)}
        write_text(folder / "README.md", CARD.format(**about, made=repr(tuning)))
        for checkpoint in checkpoints.found(folder).values():
            shutil.rmtree(checkpoint)
    accelerator.wait_for_everyone()


def one_step(task: Task, device: torch.device, penalty: bool) -> Callable[[], None]:
    """One optimiser step of throw-away networks, to be timed: one that takes the penalty, or one of the others."""
    task = replace(task, tuning=replace(task.tuning, penalty_steps=1 if penalty else NEVER))
    stage, numbers = build_stage(task, Path(), device), itertools.count(1)
    model, take = stage.model.to(device), stage.order
    optimizer = torch.optim.AdamW(trained(model), lr=1e-9, fused=True)
    assert take is not None

    @torch.enable_grad()
    def once() -> None:
        now = Batch(take(0, stage.batch), seeds.stream("one step"), slice(0, stage.batch), next(numbers))
        stage.loss(model, now).backward()
        optimizer.step()
        optimizer.zero_grad()

    return once
