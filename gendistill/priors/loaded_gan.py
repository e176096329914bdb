"""A style-based generator with its weights: pictures in one pass, through a hierarchy of spaces."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gendistill import seeds
from gendistill.priors.checkpoint import load_part
from gendistill.priors.discriminator import FOLDER, load
from gendistill.priors.spaces import Hierarchy
from gendistill.priors.style_generator import StyleGenerator
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import Ids, Labels, Latents, Pixels, UserError


class LoadedGan(Hierarchy):
    """A frozen generator.

    latent_shape  of the noise
    spaces        z       noise, and the embedding of its class: {z, class}
                  w       one style: {w}
                  w+      a style for every convolution: {w+}
                  f4 ...  the maps of every side, and the styles of what comes after: {f4, w+}; the last needs none: {f16}
    """

    def __init__(
        self,
        net: StyleGenerator,
        rows: tuple[int, ...],
        device: torch.device,
        dtype: torch.dtype,
        judge: Callable[[], nn.Module] | None = None,
    ) -> None:
        """Class i of the data is row ``rows[i]`` of the generator, which runs in ``dtype``; ``judge`` loads its discriminator."""
        nn.Module.to(net, device, dtype)  # diffusers' own warns of layers to be kept in float32, and there are none
        self.net = net.eval().requires_grad_(False)
        self.device, self.dtype, self._judge = device, dtype, judge
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

    def trainable(self) -> nn.Module:
        """A copy of the generator."""
        return nn.Module.to(deepcopy(self.net), "cpu", torch.float32).requires_grad_(True)

    def judge(self) -> nn.Module:
        """The discriminator, loaded now.

        Raises:
            UserError: it was not kept.
        """
        if self._judge is None:
            raise UserError(
                "this generator came as a loaded object, without its discriminator: give Gan(...) a folder as train-prior leaves it"
            )
        return self._judge()

    def with_networks(self, generator: nn.Module, discriminator: nn.Module | None) -> LoadedGan:
        """This prior with another generator. Its fingerprint does not follow weights that change."""
        other: Any = copy(self)
        other.net, other.dtype = generator, torch.float32
        other._judge = None if discriminator is None else lambda: discriminator
        other.fingerprint = fingerprint(self.fingerprint, "another generator")
        return other

    def keep(self, folder: Path) -> None:
        """Write what `Gan` opens, and the discriminator beside it."""
        self.save(folder)
        if self._judge is not None:
            judge: Any = self._judge()
            judge.save_pretrained(str(folder / FOLDER), safe_serialization=True)

    def reload(self, folder: Path) -> LoadedGan:
        """A prior with the networks of a folder."""
        net = load_part(str(folder), StyleGenerator, "generator", subfolder="")
        return LoadedGan(net, tuple(self.rows.tolist()), self.device, self.dtype, partial(load, str(folder)))
