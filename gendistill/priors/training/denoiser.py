"""Third stage: a class-conditional transformer that removes noise from latents, predicting velocity.

Peebles & Xie, ICCV 2023 (DiT); Salimans & Ho, 2022: v = alpha noise - sigma clean; loss = mean (v - prediction)^2,
cosine schedule (Nichol & Dhariwal, 2021).

diffusers' own label dropout is switched off: each block has a label table of its own and hides the label by itself, so
that a picture without any label, which is what guidance asks about, would be seen once in 10^(blocks + 1) times. Here a
label is hidden from all blocks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.models.embeddings import LabelEmbedding
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gendistill import seeds
from gendistill.priors.training.latents import EncodedLatents
from gendistill.priors.training.loop import Batch, Stage, optimize
from gendistill.priors.training.rows import LABEL_ROWS
from gendistill.priors.training.settings import PriorTraining

NAME = "denoiser"


def noise_schedule() -> DDIMScheduler:
    """The scheduler that training and sampling share."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def build(settings: PriorTraining, seed: int) -> DiTTransformer2DModel:
    """A denoiser with fresh weights that follow from the seed; each block begins as the identity, as in DiT."""
    width, head = settings.hidden_size, settings.attention_head_dim
    assert width and settings.resolution and settings.downsample and settings.num_layers and settings.patch_size
    with seeds.as_global(seeds.number(seed, NAME, "weights")):
        model = DiTTransformer2DModel(
            num_attention_heads=width // head,
            attention_head_dim=head,
            in_channels=settings.latent_channels,
            out_channels=settings.latent_channels,
            num_layers=settings.num_layers,
            sample_size=settings.resolution // settings.downsample,
            patch_size=settings.patch_size,
            num_embeds_ada_norm=LABEL_ROWS,
        )
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            if isinstance(module, LabelEmbedding):
                nn.init.normal_(module.embedding_table.weight, std=0.02)
                module.dropout_prob = 0.0
    for block in model.transformer_blocks:
        nn.init.zeros_(block.norm1.linear.weight)  # type: ignore[union-attr, arg-type]
    nn.init.zeros_(model.proj_out_1.weight)
    nn.init.zeros_(model.proj_out_2.weight)
    return model


def train_denoiser(
    settings: PriorTraining,
    latents: EncodedLatents,
    labels: Tensor,
    folder: Path,
    accelerator: Accelerator,
    *,
    seed: int,
    resume: Path | None,
    progress: Callable[..., Iterable],
) -> DiTTransformer2DModel:
    """The trained denoiser, with averaged weights.

    labels  (N,) label row of each training picture
    """
    steps, batch, rate = settings.max_train_steps, settings.train_batch_size, settings.learning_rate
    assert steps and batch and rate, "settings are complete"
    read, scheduler, device = latents.reader(), noise_schedule(), accelerator.device

    def loss(model: nn.Module, now: Batch) -> Tensor:
        mirror = torch.rand(batch, generator=now.dice) < 0.5
        hidden = torch.rand(batch, generator=now.dice) < settings.class_dropout_prob
        times = spread_times(batch, scheduler.config["num_train_timesteps"], now.dice)
        clean = read(now.positions, mirror.long() if settings.random_flip else torch.zeros(batch, dtype=torch.long))
        noise = torch.randn(clean.shape, generator=now.dice)
        rows = torch.where(hidden, LABEL_ROWS, labels[now.positions])
        clean, noise, times, rows = (item[now.mine].to(device) for item in (clean, noise, times, rows))
        noisy = scheduler.add_noise(clean, noise, times)  # type: ignore[arg-type]
        target = scheduler.get_velocity(clean, noise, times)  # type: ignore[arg-type]
        with attention(device, settings.mixed_precision):
            answer = model(noisy, timestep=times, class_labels=rows, return_dict=False)[0]
        return (answer.float() - target).square().mean()

    model = build(settings, seed)
    stage = Stage(
        name=NAME,
        folder=folder,
        model=model,
        loss=loss,
        pictures=len(labels),
        steps=steps,
        batch=batch,
        accumulation=settings.gradient_accumulation_steps,
        learning_rate=rate,
        weight_decay=settings.adam_weight_decay,
        lr_scheduler=settings.lr_scheduler,
        warmup=min(settings.lr_warmup_steps, steps // 2),
        max_grad_norm=settings.max_grad_norm,
        ema=EMAModel(model.parameters(), decay=settings.ema_decay, foreach=True),
        checkpointing_steps=settings.checkpointing_steps,
        checkpoints_total_limit=settings.checkpoints_total_limit,
    )
    return optimize(stage, accelerator, seed=seed, resume=resume, progress=progress)  # type: ignore[return-value]


def attention(device: torch.device, mixed_precision: str) -> AbstractContextManager:
    """The attention kernel to train with: plain matrix products in bfloat16 on a CPU, elsewhere torch's own choice.

    There, torch's fused kernel has so slow a backward pass on few tokens that it takes most of the step.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" and mixed_precision == "bf16" else nullcontext()


def spread_times(count: int, total: int, dice: torch.Generator) -> Tensor:
    """``count`` time steps in 0 .. total - 1, each uniform, together evenly spread (Kingma et al., 2021)."""
    start = torch.rand(1, generator=dice)
    return (((start + torch.arange(count) / count) % 1) * total).long()
