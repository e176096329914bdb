"""What the latent diffusion priors share: an autoencoder, a denoiser, its head and its schedule, and how they are kept.

Whatever the head predicts, with or without a learned variance, a prior answers with the clean latent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.priors.checkpoint import load_part
from gendistill.priors.heads import HEAD_ERRORS, HEADS
from gendistill.priors.schedule import Schedule
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import LATENT, Conditions, Estimate, Ids, Labels, Latents, Level, Pixels, UserError


def placed(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """The module on a device, in eval mode and frozen; cast only where its dtype differs.

    One that was quantised, spread over devices or offloaded when it was loaded stays where and what it is.
    """
    if not settled(module):
        if next(module.parameters()).dtype != dtype:
            module = deepcopy(module).to(dtype)  # the user's own module stays as it is
        module = module.to(device)
    return module.eval().requires_grad_(False)


def settled(module: nn.Module) -> bool:
    """Whether loading decided for good where the weights of a module are, and of what type."""
    marks = ("hf_quantizer", "hf_device_map", "_hf_hook")
    return any(getattr(module, mark, None) is not None for mark in marks)


class LoadedDiffusion(ABC):
    """A denoiser and an autoencoder, frozen, in eval mode (so that dropout is off).

    pipeline       the class of the stock pipeline
    network        what it calls its denoiser
    lora_layers    how the names of the linear layers end that low-rank changes are for
    latent_shape   (c, h, w) of a latent, scaled to unit variance
    encoder        fingerprint of what encoding follows from; `fingerprint` is that of everything
    cfg_channels   latent channels that classifier-free guidance changes
    """

    pipeline: type
    network = "transformer"
    lora_layers: tuple[str, ...] = ()

    def __init__(
        self,
        denoiser: nn.Module,
        vae: nn.Module,
        schedule: Schedule,
        latent_shape: tuple[int, int, int],
        device: torch.device,
        dtype: torch.dtype,
        asks: object,
        cfg_channels: int | None = None,
    ):
        """The denoiser runs in ``dtype``, the autoencoder and all arithmetic in float32; both are placed already.

        ``asks`` is what conditions follow from, for the fingerprint.
        """
        self.denoiser, self.vae, self.schedule = denoiser, vae, schedule
        self.head = HEADS["flow_prediction" if schedule.flow else schedule.config.get("prediction_type", "epsilon")]
        self.latent_shape = latent_shape
        self.cfg_channels = latent_shape[0] if cfg_channels is None else cfg_channels
        self.device, self.dtype, self.asks = device, dtype, asks
        config: Any = vae.config
        self.scale, self.shift = config.get("scaling_factor", 1.0) or 1.0, config.get("shift_factor") or 0.0
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if mean is not None and std is not None:
            column: dict[str, Any] = {"device": device, "dtype": torch.float32}
            self.shift = torch.tensor(mean, **column).view(1, -1, 1, 1)
            self.scale = self.scale / torch.tensor(std, **column).view(1, -1, 1, 1)
        self.encoder = self._encoder()
        self.fingerprint = self._fingerprint()

    def _encoder(self) -> str:
        return fingerprint(fingerprint_state(self.vae), self.scale, self.shift)

    def _fingerprint(self) -> str:
        schedule = sorted((key, str(value)) for key, value in self.schedule.config.items())
        weights, guided = fingerprint_state(self.denoiser), self.cfg_channels
        return fingerprint(self.encoder, weights, self.asks, str(self.dtype), guided, self.schedule.name, schedule)

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal latents, one random stream per picture."""
        return {LATENT: seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape).to(self.device)}

    def encode(self, pixels: Pixels) -> Tensor:
        """The latent of each picture: the mean of the posterior where the autoencoder has one."""
        answer = self.vae.encode(pixels * 2 - 1)  # pyright: ignore[reportCallIssue]
        if hasattr(answer, "latent_dist"):  # AutoencoderKL
            raw = answer.latent_dist.mode()
        else:  # AutoencoderTiny, AutoencoderDC
            raw = answer.latents if hasattr(answer, "latents") else answer.latent
        return (raw - self.shift) * self.scale

    def decode(self, latents: Latents) -> Pixels:
        """Pixels, not clamped."""
        raw = latents[LATENT].float() / self.scale + self.shift
        return self.vae.decode(raw).sample * 0.5 + 0.5  # pyright: ignore[reportCallIssue]

    @abstractmethod
    def condition(self, labels: Labels) -> Conditions:
        """Conditions that ask for these classes of the data, with null rows that ask for none."""

    @abstractmethod
    def answer(self, x: Tensor, time: Tensor, conditions: Conditions) -> Tensor:
        """What the network says of ``x``, in its own dtype, at training steps (n,): the head, and below it a learned variance."""

    def denoise(self, x: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The clean estimate of ``x``, float32; at ``level`` scalar or one per picture."""
        answer = self.answer(x.to(self.dtype), self._time(x, level), conditions).float()
        head, rest = answer[:, : x.shape[1]], answer[:, x.shape[1] :]
        return Estimate(self.head(head, x.float(), level), rest if rest.shape[1] else None)

    def trainable(self) -> nn.Module:
        """A copy of the denoiser in float32, on the CPU and in eval mode, to be trained.

        Raises:
            UserError: its weights are quantised, spread over devices or offloaded.
        """
        if settled(self.denoiser):
            raise UserError(
                f"the {self.network} is quantised, spread over devices or offloaded, so that its weights cannot be trained: "
                "load it plainly to tune it"
            )
        return deepcopy(self.denoiser).float().cpu().eval().requires_grad_(True)

    def with_denoiser(self, denoiser: nn.Module) -> LoadedDiffusion:
        """This prior with another denoiser in the place of its own. Its fingerprint does not follow weights that change."""
        other = copy(self)
        other.denoiser, other.dtype = denoiser, torch.float32
        other.fingerprint = fingerprint(self.fingerprint, "another denoiser")
        return other

    def head_error(self, level: Level) -> float | Tensor:
        """Error of what the head predicts for an error of 1 of the clean estimate."""
        return HEAD_ERRORS[self.head](level)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that the stock pipeline opens."""

    def reload(self, folder: Path) -> LoadedDiffusion:
        """This prior with the denoiser of a folder that `save` wrote."""
        other = copy(self)
        other.denoiser = placed(load_part(str(folder), type(self.denoiser), self.network), self.device, self.dtype)
        other.fingerprint = other._fingerprint()
        return other

    def scheduler(self) -> Any:
        """The scheduler the checkpoint names, as it was."""
        return getattr(diffusers, self.schedule.name + "Scheduler").from_config(self.schedule.config)

    def _time(self, x: Tensor, level: Level) -> Tensor:
        """Training steps (n,), one for each row of ``x``."""
        time = torch.as_tensor(level.time * self.schedule.total, dtype=torch.float32, device=x.device)
        return time.expand(len(x))
