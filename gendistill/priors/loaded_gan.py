"""A style-based generator with its weights: pictures in one pass, through a hierarchy of spaces."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gendistill import seeds
from gendistill.priors.spaces import Hierarchy
from gendistill.priors.style_generator import StyleGenerator
from gendistill.store import fingerprint, fingerprint_state
from gendistill.types import Ids, Labels, Latents, Pixels


class LoadedGan(Hierarchy):
    """A frozen generator.

    latent_shape  of the noise
    spaces        z       noise, and the embedding of its class: {z, class}
                  w       one style: {w}
                  w+      a style for every convolution: {w+}
                  f4 ...  the maps of every side, and the styles of what comes after: {f4, w+}; the last needs none: {f16}
    """

    def __init__(self, net: StyleGenerator, rows: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> None:
        """Class i of the data is row ``rows[i]`` of the generator, which runs in ``dtype``."""
        nn.Module.to(net, device, dtype)  # diffusers' own warns of layers to be kept in float32, and there are none
        self.net = net.eval().requires_grad_(False)
        self.device, self.dtype = device, dtype
        self.rows = torch.tensor(rows, device=device)
        self.spaces = net.spaces
        self.latent_shape = (net.config["noise_size"],)
        self.fingerprint = fingerprint(fingerprint_state(self.net), rows, str(dtype))

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal noise, one random stream per picture."""
        return {"z": seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape).to(self.device)}

    def generate(self, noise: Latents, labels: Labels) -> Latents:
        """Noise with the embedding of its class, which may be changed as well."""
        found = self.net.latents(noise["z"], self.rows[labels.to(self.device)])
        return {name: value.float() for name, value in found.items()}

    def step(self, latents: Latents, index: int) -> Latents:
        """One step of the network, in its dtype; latents stay float32."""
        found = self.net.step({name: value.to(self.dtype) for name, value in latents.items()}, index)
        return {name: value.float() for name, value in found.items()}

    def render(self, latents: Latents) -> Pixels:
        """Pixels, not clamped."""
        return self.net.render({name: value.to(self.dtype) for name, value in latents.items()}).float()

    def save(self, folder: Path) -> None:
        """Write a folder that `Gan` opens."""
        self.net.save_pretrained(str(folder), safe_serialization=True)
