"""Second stage: every training picture is encoded once, into a file that is read by position, never held in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from gendistill.priors.training.reading import Read
from gendistill.system.store import write_json

BLOCK = 256


@dataclass(frozen=True)
class EncodedLatents:
    """Latents on disk, as float16 of (pictures, variants, c, h, w); variant 1 is the mirrored picture.

    scale  one over the standard deviation of all of them: what brings them to unit variance
    """

    path: Path
    scale: float

    def reader(self) -> Callable[[Tensor, Tensor], Tensor]:
        """``read(positions, variants)``: scaled latents, (n, c, h, w) float32."""
        table = np.load(self.path, mmap_mode="r")
        return lambda positions, variants: (
            torch.from_numpy(table[positions.numpy(), variants.numpy()]).float() * self.scale
        )


def encode_all(
    vae: AutoencoderKL,
    read: Read,
    pictures: int,
    shape: tuple[int, int, int],
    folder: Path,
    accelerator: Accelerator,
    *,
    mirrored: bool,
    progress: Callable[..., Iterable],
) -> EncodedLatents:
    """Encode all pictures into ``folder``, block by block; after a kill it goes on after the last whole block."""
    path, note = folder / "latents.npy", folder / "latents.json"
    if accelerator.is_main_process:
        _encode(vae.to(accelerator.device), read, pictures, shape, path, note, mirrored, progress)  # type: ignore[arg-type]
    accelerator.wait_for_everyone()
    return EncodedLatents(path, json.loads(note.read_text())["scale"])


def _encode(
    vae: AutoencoderKL,
    read: Read,
    pictures: int,
    shape: tuple[int, int, int],
    path: Path,
    note: Path,
    mirrored: bool,
    progress: Callable[..., Iterable],
) -> None:
    state = json.loads(note.read_text()) if note.exists() and path.exists() else {"done": 0, "sum": 0.0, "squares": 0.0}
    if "scale" in state:
        return
    size = (pictures, 2 if mirrored else 1, *shape)
    table = np.lib.format.open_memmap(path, mode="r+" if state["done"] else "w+", dtype=np.float16, shape=size)
    starts = range(state["done"], pictures, BLOCK)
    for start in progress(starts, "latents", len(starts)):
        stop = min(start + BLOCK, pictures)
        pixels = read(torch.arange(start, stop)).to(next(vae.parameters()).device)
        with torch.no_grad():
            posteriors: Any = [vae.encode(view) for view in ((pixels, pixels.flip(-1)) if mirrored else (pixels,))]
        found = torch.stack([posterior.latent_dist.mode() for posterior in posteriors], 1).half().cpu()
        table[start:stop] = found.numpy()
        wide = found.double()
        state = {
            "done": stop,
            "sum": state["sum"] + float(wide.sum()),
            "squares": state["squares"] + float(wide.square().sum()),
        }
        table.flush()
        write_json(note, state)
    count = float(np.prod(size))
    variance = state["squares"] / count - (state["sum"] / count) ** 2
    write_json(note, state | {"scale": max(variance, 1e-12) ** -0.5})
