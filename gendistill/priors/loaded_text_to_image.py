"""A text-to-image pipeline with its weights: encodes, decodes, denoises, is asked in words, can be tuned."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gendistill.context import together
from gendistill.priors.checkpoint import fewer_pixels
from gendistill.priors.families.base import Family, Texts
from gendistill.priors.loaded_diffusion import LoadedDiffusion, placed
from gendistill.priors.schedule import Schedule, nothing_more
from gendistill.prompts import Prompts
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import LATENT, Class, Conditions, Labels, Latents, Pixels

REMEMBERED_BYTES = 1 << 30
"""Of encoded prompts that are kept on the CPU: 4,500 of Stable Diffusion's, 60 of Flux's. What is older is encoded again."""


class LoadedTextToImage(LoadedDiffusion):
    """A pipeline whose network answers prompts.

    classes    of the data, which labels count
    side       of the pictures that are drawn, in pixels; ``shown`` that of the pictures that come out
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        prompts: Prompts,
        classes: Sequence[Class],
        shown: int,
        device: torch.device,
        dtype: torch.dtype,
        offload: str | None = None,
    ) -> None:
        """Take a loaded pipeline. The user's own stays as it is, but for being frozen and on the device."""
        self.pipeline, self.network, self.lora_layers = type(pipe), family.network, family.lora_layers
        self.family, self.side, self.shown = family, family.side, shown
        self.texts, self.classes = prompts, tuple(classes)
        where, encoders = torch.device("cpu") if offload else device, {}
        for name, part in pipe.components.items():
            if name.startswith("text_encoder") and isinstance(part, nn.Module):
                encoders[name] = placed(part, where, dtype)
        denoiser = placed(getattr(pipe, self.network), where, dtype)
        vae = placed(pipe.vae, where, torch.float32)
        self.pipe = family.pipe = copy(pipe)
        self.pipe.register_modules(vae=vae, **{self.network: denoiser}, **encoders)
        latents = self.side // fewer_pixels(vae.config)
        timing = family.timing(pipe.scheduler.config, family.config, latents) or nothing_more
        self._remembered: OrderedDict[tuple[str, bool], Texts] = OrderedDict()
        super().__init__(
            denoiser,
            vae,
            Schedule(type(pipe.scheduler).__name__, pipe.scheduler.config, timing),
            (family.channels(family.config), latents, latents),
            device,
            dtype,
            (
                [fingerprint_state(part) for part in encoders.values()],
                [prompts.each(one) for one in classes],
                prompts.negative,
                family.most,
                family.strength,
                self.side,
            ),
        )
        if offload == "model":
            self.pipe.enable_model_cpu_offload(device=device)
        elif offload == "sequential":
            self.pipe.enable_sequential_cpu_offload(device=device)

    def _encoder(self) -> str:
        return fingerprint(super()._encoder(), self.side)

    def encode(self, pixels: Pixels) -> Tensor:
        """The latent of each picture, brought to the size that is drawn."""
        parts = pixels.split(self._together)
        return torch.cat([super(LoadedTextToImage, self).encode(resized(part, self.side)) for part in parts])

    def decode(self, latents: Latents) -> Pixels:
        """Pixels at the size of the data, not clamped; where a gradient is wanted, a block of pictures is held at a time."""
        parts = latents[LATENT].split(self._together)
        if len(parts) > 1 and torch.is_grad_enabled():
            return torch.cat([checkpoint(self._shown, part, use_reentrant=False) for part in parts])
        return torch.cat([self._shown(part) for part in parts])

    def _shown(self, latent: Tensor) -> Tensor:
        return resized(super().decode({LATENT: latent}), self.shown)

    @property
    def _together(self) -> int:
        """Pictures that pass the autoencoder together: at the size they are drawn they may be far larger than the data's."""
        return together((self.side, self.side))

    def prompts(self, labels: Labels, slots: Tensor | None = None) -> tuple[str, ...]:
        """What is said for pictures of these classes in these slots."""
        turns = [0] * len(labels) if slots is None else slots.tolist()
        return tuple(self.texts.of(self.classes[row], turn) for row, turn in zip(labels.tolist(), turns, strict=True))

    def condition(self, labels: Labels) -> Conditions:
        """Ask for the prompts of these classes, each in its first slot."""
        return self.condition_on(self.prompts(labels))

    @torch.no_grad()
    def condition_on(self, prompts: Sequence[str], negative: str | None = None) -> Conditions:
        """What the text encoders make of these prompts, and of the negative one.

        Raises:
            UserError: a prompt is longer than an encoder takes.
        """
        asked = {prompt: self._encoded(prompt, True) for prompt in dict.fromkeys(prompts)}
        null = self._encoded(self.texts.negative if negative is None else negative, False)
        names = list(null)
        values = {name: torch.cat([asked[prompt][name] for prompt in prompts]).to(self.device) for name in names}
        return Conditions(
            values, {name: value.to(self.device).expand(len(prompts), *value.shape[1:]) for name, value in null.items()}
        )

    def _encoded(self, prompt: str, asks: bool) -> Texts:
        """A prompt as the encoders see it, on the CPU. One at a time: what it is then does not depend on the others."""
        key = (prompt, asks)
        if key not in self._remembered:
            tokenizers = {
                name: part
                for name, part in self.pipe.components.items()
                if name.startswith("tokenizer") and part is not None
            }
            self.family.check_lengths([prompt], tokenizers, self.family.most)
            make = self.family.encode if asks else self.family.nothing
            self._remembered[key] = {name: value.cpu() for name, value in make(prompt, self.device).items()}
        self._remembered.move_to_end(key)
        while len(self._remembered) > 2 and _bytes(self._remembered) > REMEMBERED_BYTES:
            self._remembered.popitem(last=False)
        return self._remembered[key]

    def embed(self, conditions: Conditions) -> Conditions:
        """The same in float32; which tokens count stays as it is."""

        def real(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: v.float() if v.is_floating_point() else v for name, v in values.items()}

        return Conditions(real(conditions.values), real(conditions.null))

    def answer(self, x: Tensor, time: Tensor, conditions: Conditions) -> Tensor:
        """What the network says."""
        texts = {name: v.to(x.dtype) if v.is_floating_point() else v for name, v in conditions.values.items()}
        return self.family.ask(self.denoiser, x, time, texts)

    def reload(self, folder: Path) -> LoadedTextToImage:
        """This prior with the denoiser of a folder that `save` wrote; nothing of it holds the one before."""
        other: Any = super().reload(folder)
        other.pipe, other.family = copy(self.pipe), copy(self.family)
        other.pipe.register_modules(**{self.network: other.denoiser})
        other.family.pipe = other.pipe
        return other

    def save(self, folder: Path) -> None:
        """Write a folder that the stock pipeline opens: with this denoiser, all else as it was."""
        pipe = copy(self.pipe)
        pipe.register_modules(**{self.network: self.denoiser}, scheduler=self.scheduler())
        pipe.save_pretrained(str(folder), safe_serialization=True)


def resized(pixels: Tensor, side: int) -> Tensor:
    """Square pictures of another size, differentiable."""
    if pixels.shape[-1] == side:
        return pixels
    return F.interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False)


def _bytes(remembered: Mapping[Any, Texts]) -> int:
    return sum(value.nbytes for texts in remembered.values() for value in texts.values())
