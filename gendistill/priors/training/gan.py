"""Adversarial training of a generator and a discriminator, both at once.

R3GAN (Huang et al., NeurIPS 2024), https://arxiv.org/abs/2501.05441: a made picture is judged beside a real one, here of the
same class, and gradients are penalised on both sides, every few steps (Karras et al., CVPR 2020).

    discriminator  mean softplus(D(made) - D(real)) + penalty / 2 mean( |grad D(real)|^2 + |grad D(made)|^2 )
    generator      mean softplus(D(real) - D(made))

Both losses are one sum, in which each network sees the other as it is: one optimiser, one backward pass, one kind of checkpoint.
What a discriminator sees is augmented, real and made alike (Zhao et al., NeurIPS 2020), https://arxiv.org/abs/2006.10738.
A batch holds its classes equally, class by class, since the discriminator compares neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gendistill import seeds
from gendistill.priors.discriminator import Discriminator
from gendistill.priors.style_generator import StyleGenerator
from gendistill.priors.training.balance import balanced
from gendistill.priors.training.gan_settings import GanTraining
from gendistill.priors.training.gan_sizes import GROUP, check_groups
from gendistill.priors.training.loop import Batch, Stage, optimize
from gendistill.priors.training.reading import Read, mirrored
from gendistill.types import Class, Labels, Pixels
from gendistill.views.siamese import OPERATIONS, Siamese

NAME = "gan"
BETAS = (0.0, 0.99)
"""Of Adam: no momentum, since each network's goal moves with the other."""

Change = Callable[[Pixels], Pixels]


def unchanged(pixels: Pixels) -> Pixels:
    """The pictures as they are."""
    return pixels


class Game(nn.Module):
    """The sum of both losses as a module, so that several processes share one backward pass."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Both are trained."""
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, real: Pixels, rows: Labels, z: Tensor, change: Change, penalty: float) -> Tensor:
        """The loss of real pictures and of as many made ones of their classes. ``penalty`` is 0 where none is due."""
        learned, fooling = self.losses(real, self.generator(z, rows), rows, change, penalty)
        return learned + fooling

    def losses(self, real: Pixels, made: Pixels, rows: Labels, change: Change, penalty: float) -> tuple[Tensor, Tensor]:
        """The loss of the discriminator, and that of who made the pictures."""
        made, real = change(made), change(real)
        judged = torch.cat([real.detach().requires_grad_(penalty > 0), made.detach()])
        scores = self.discriminator(judged, torch.cat([rows, rows]))
        of_real, of_made = scores.float().chunk(2)
        loss = F.softplus(of_made - of_real).mean()
        if penalty:
            slopes = torch.autograd.grad(scores.sum(), judged, create_graph=True)[0]
            loss = loss + penalty * slopes.float().square().flatten(1).sum(1).mean()  # half of the two sides' means
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled: Tensor = functional_call(self.discriminator, frozen, (made, rows))
        return loss, F.softplus(of_real.detach() - fooled.float()).mean()


def different(batch: int, classes: int) -> int:
    """How many of the classes a batch of whole groups holds, each in as many of them."""
    return max(count for count in range(1, classes + 1) if batch % (count * GROUP) == 0)


def build(settings: GanTraining, channels: int, classes: Sequence[Class], seed: int) -> Game:
    """Both networks with fresh weights that follow from the seed."""
    assert settings.resolution and settings.block_out_channels, "settings are complete"
    sizes = {
        "resolution": settings.resolution,
        "channels": channels,
        "num_classes": len(classes),
        "block_out_channels": settings.block_out_channels,
    }
    names = {str(row): c.name for row, c in enumerate(classes)}
    wnids = {str(row): c.wnid for row, c in enumerate(classes) if c.wnid}
    with seeds.as_global(seeds.number(seed, NAME, "weights")):
        generator = StyleGenerator(
            **sizes, noise_size=settings.noise_size, style_size=settings.style_size, id2label=names, id2wnid=wnids
        )
        return Game(generator, Discriminator(**sizes, group=GROUP))


def changing(augment: Siamese | None, now: Batch, statistics: tuple[Tensor, Tensor]) -> Change:
    """One operation for the whole step, with numbers of its own for every picture of either side."""
    if augment is None:
        return unchanged
    operation = OPERATIONS[augment.operations[int(torch.randint(len(augment.operations), (1,), generator=now.dice))]]
    mean, std = statistics

    def change(pixels: Pixels) -> Pixels:
        def draw(*shape: int) -> Tensor:
            return torch.rand(len(now.positions), *shape, generator=now.dice)[now.mine].to(pixels.device)

        return operation((pixels - mean) / std, draw) * std + mean

    return change


def train_nets(
    settings: GanTraining,
    read: Read,
    labels: Labels,
    classes: Sequence[Class],
    statistics: tuple[Tensor, Tensor],
    folder: Path,
    accelerator: Accelerator,
    *,
    seed: int,
    resume: Path | None,
    progress: Callable[..., Iterable],
) -> Game:
    """The trained networks, the generator with averaged weights.

    labels      (N,) class of each training picture, which is its row
    statistics  mean and deviation of each channel of the pictures, (1, c, 1, 1) in pixel units

    Raises:
        UserError: the processes cannot share a batch in whole groups.
    """
    steps, batch, rate = settings.max_train_steps, settings.train_batch_size, settings.learning_rate
    assert steps and batch and rate, "settings are complete"
    assert settings.gradient_penalty is not None and settings.ema_decay is not None
    check_groups("train_batch_size", batch, accelerator.num_processes)
    device, every = accelerator.device, settings.penalty_steps
    mean, std = (value.to(device) for value in statistics)
    strength = settings.gradient_penalty * every

    def loss(model: nn.Module, now: Batch) -> Tensor:
        z = torch.randn((batch, settings.noise_size), generator=now.dice)[now.mine]
        flip = torch.rand(batch, generator=now.dice) < 0.5
        real = read(now.positions[now.mine])
        if settings.random_flip:
            real = mirrored(real, flip[now.mine])
        real, rows = real.mul(0.5).add(0.5), labels[now.positions[now.mine]]
        change = changing(settings.augment, now, (mean, std))
        return model(real.to(device), rows.to(device), z.to(device), change, 0.0 if now.step % every else strength)

    game = build(settings, len(mean.flatten()), classes, seed)
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    by_class = labels.argsort(stable=True)
    take = balanced(counts, different(batch, len(classes)), seeds.number(seed, NAME, "order"))
    stage = Stage(
        name=NAME,
        folder=folder,
        model=game,
        loss=loss,
        pictures=len(labels),
        order=lambda start, count: by_class[take(start, count)],
        steps=steps,
        batch=batch,
        accumulation=1,
        learning_rate=rate,
        weight_decay=0.0,
        lr_scheduler=settings.lr_scheduler,
        warmup=min(settings.lr_warmup_steps, steps // 2),
        max_grad_norm=None,
        ema=EMAModel(game.generator.parameters(), decay=settings.ema_decay, foreach=True),
        averaged=game.generator,
        checkpointing_steps=settings.checkpointing_steps,
        checkpoints_total_limit=settings.checkpoints_total_limit,
        betas=BETAS,
    )
    return optimize(stage, accelerator, seed=seed, resume=resume, progress=progress)  # type: ignore[return-value]
