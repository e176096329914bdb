"""A class-conditional latent diffusion pipeline with its weights: encodes, decodes, denoises, shows its features, can be tuned.

Whatever its head predicts, with or without a learned variance, it answers with the clean latent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.priors.checkpoint import load_pipeline
from gendistill.priors.heads import HEAD_ERRORS, HEADS
from gendistill.priors.schedule import Schedule
from gendistill.store import fingerprint, fingerprint_state
from gendistill.types import LATENT, Conditions, Estimate, Ids, Labels, Latents, Level, Pixels

NULL_ROW = 1000
"""The row that asks for no class, fixed by diffusers' ``DiTPipeline``."""


def placed(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """The module on a device, in eval mode and frozen; cast only where its dtype differs."""
    if next(module.parameters()).dtype != dtype:
        module = deepcopy(module).to(dtype)  # the user's own module stays as it is
    module = module.to(device)
    return module.eval().requires_grad_(False)


class LoadedLatentDiffusion:
    """A denoiser and an autoencoder, frozen, in eval mode (so that label dropout is off).

    latent_shape   (c, h, w) of a latent, scaled to unit variance
    encoder        fingerprint of what encoding follows from; `fingerprint` is that of everything
    cfg_channels   latent channels that classifier-free guidance changes
    """

    def __init__(
        self,
        pipe: Any,
        rows: tuple[int, ...],
        cfg_channels: int | None,
        device: torch.device,
        dtype: torch.dtype,
        names: Mapping[str, str] | None = None,
    ):
        """Take a loaded pipeline; the denoiser runs in ``dtype``, the autoencoder and all arithmetic in float32.

        ``names`` is what the checkpoint calls its label rows.
        """
        self.names = names
        self.denoiser = placed(pipe.transformer, device, dtype)
        self.vae = placed(pipe.vae, device, torch.float32)
        config = self.denoiser.config
        self.schedule = Schedule(type(pipe.scheduler).__name__, pipe.scheduler.config)
        self.head = HEADS[
            "flow_prediction" if self.schedule.flow else self.schedule.config.get("prediction_type", "epsilon")
        ]
        self.latent_shape = (config.in_channels, config.sample_size, config.sample_size)
        self.cfg_channels = config.in_channels if cfg_channels is None else cfg_channels
        self.device, self.dtype = device, dtype
        self.rows = torch.tensor(rows, device=device)
        self.null_row = NULL_ROW
        vae = self.vae.config
        self.scale, self.shift = vae.get("scaling_factor", 1.0) or 1.0, vae.get("shift_factor") or 0.0
        mean, std = vae.get("latents_mean"), vae.get("latents_std")
        if mean is not None and std is not None:
            column = {"device": device, "dtype": torch.float32}
            self.shift = torch.tensor(mean, **column).view(1, -1, 1, 1)
            self.scale = self.scale / torch.tensor(std, **column).view(1, -1, 1, 1)
        self.encoder = fingerprint(fingerprint_state(self.vae), self.scale, self.shift)
        schedule = sorted((key, str(value)) for key, value in self.schedule.config.items())
        weights = fingerprint_state(self.denoiser)
        self.fingerprint = fingerprint(
            self.encoder, weights, rows, str(dtype), self.cfg_channels, self.schedule.name, schedule
        )

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal latents, one random stream per picture."""
        return {LATENT: seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape).to(self.device)}

    def encode(self, pixels: Pixels) -> Tensor:
        """The latent of each picture: the mean of the posterior where the autoencoder has one."""
        answer = self.vae.encode(pixels * 2 - 1)
        if hasattr(answer, "latent_dist"):  # AutoencoderKL
            raw = answer.latent_dist.mode()
        else:  # AutoencoderTiny, AutoencoderDC
            raw = answer.latents if hasattr(answer, "latents") else answer.latent
        return (raw - self.shift) * self.scale

    def decode(self, latents: Latents) -> Pixels:
        """Pixels, not clamped."""
        return self.vae.decode(latents[LATENT].float() / self.scale + self.shift).sample * 0.5 + 0.5

    def condition(self, labels: Labels) -> Conditions:
        """Ask for these classes of the data; the null rows ask for none."""
        rows = self.rows[labels.to(self.device)]
        return Conditions({"class": rows}, {"class": torch.full_like(rows, self.null_row)})

    def denoise(self, x: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The clean estimate of ``x``, float32; at ``level`` scalar or one per picture."""
        with self._asked(conditions) as rows:
            answer = self.denoiser(x.to(self.dtype), timestep=self._time(x, level), class_labels=rows).sample.float()
        head, rest = answer[:, : x.shape[1]], answer[:, x.shape[1] :]
        return Estimate(self.head(head, x.float(), level), rest if rest.shape[1] else None)

    def features(self, x: Tensor, level: Level, conditions: Conditions, layers: tuple[float, float]) -> Tensor:
        """Tokens after the transformer blocks of these shares of the depth, averaged over the blocks: (n, tokens x width).

        Later blocks are not computed.
        """
        blocks, found = self.denoiser.transformer_blocks, []
        first, last = (round(share * len(blocks)) for share in layers)
        last = max(last, first + 1)
        with self._asked(conditions) as rows:
            tokens = self.denoiser.pos_embed(x.to(self.dtype))
            for number, block in enumerate(blocks[:last]):
                tokens = block(tokens, timestep=self._time(x, level), class_labels=rows)
                if number >= first:
                    found.append(tokens.float())
        return torch.stack(found).mean(0).flatten(1)

    def embed(self, conditions: Conditions) -> Conditions:
        """The rows of the label tables of all blocks, (n, blocks, width): diffusers' DiT has one table per block."""

        def rows(asked: Tensor) -> Tensor:
            return torch.stack([table(asked) for table in self._tables()], 1).float()

        return Conditions(
            {"class": rows(conditions.values["class"])}, {name: rows(null) for name, null in conditions.null.items()}
        )

    def trainable(self) -> nn.Module:
        """A copy of the denoiser in float32, on the CPU and in eval mode, to be trained."""
        return deepcopy(self.denoiser).float().cpu().eval().requires_grad_(True)

    def with_denoiser(self, denoiser: nn.Module) -> LoadedLatentDiffusion:
        """This prior with another denoiser in the place of its own. Its fingerprint does not follow weights that change."""
        other = copy(self)
        other.denoiser, other.dtype = denoiser, torch.float32
        other.fingerprint = fingerprint(self.fingerprint, "another denoiser")
        return other

    def head_error(self, level: Level) -> float | Tensor:
        """Error of what the head predicts for an error of 1 of the clean estimate."""
        return HEAD_ERRORS[self.head](level)

    def save(self, folder: Path) -> None:
        """Write a stock ``DiTPipeline`` folder: denoiser, autoencoder, scheduler, names of the label rows."""
        scheduler = getattr(diffusers, self.schedule.name + "Scheduler").from_config(self.schedule.config)
        pipe = diffusers.DiTPipeline(self.denoiser, self.vae, scheduler)
        if self.names:
            pipe.register_to_config(id2label=dict(self.names))
        pipe.save_pretrained(str(folder), safe_serialization=True)

    def reload(self, folder: Path) -> LoadedLatentDiffusion:
        """The prior of a folder that `save` wrote, with the label rows and the guided channels of this one."""
        pipe = load_pipeline(str(folder))
        rows = tuple(self.rows.tolist())
        return LoadedLatentDiffusion(pipe, rows, self.cfg_channels, self.device, self.dtype, self.names)

    def _time(self, x: Tensor, level: Level) -> Tensor:
        time = torch.as_tensor(level.time, dtype=torch.float32, device=x.device) * self.schedule.total
        return time.expand(len(x))

    def _tables(self) -> list[torch.nn.Module]:
        return [block.norm1.emb.class_embedder.embedding_table for block in self.denoiser.transformer_blocks]

    @contextmanager
    def _asked(self, conditions: Conditions) -> Iterator[Tensor]:
        """Label rows for the denoiser. Embedded conditions take the place of what its tables answer."""
        asked = conditions.values["class"]
        if not asked.is_floating_point():
            yield asked
            return

        def answer(number: int) -> Callable[..., Tensor]:
            return lambda table, rows, found: asked[:, number].to(found.dtype)

        hooks = [table.register_forward_hook(answer(number)) for number, table in enumerate(self._tables())]
        try:
            yield torch.zeros(len(asked), dtype=torch.long, device=asked.device)
        finally:
            for hook in hooks:
                hook.remove()
