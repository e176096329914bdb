"""A diffusion prior, a GAN and data of a few numbers: what the tests of this package, and of your own parts, run on."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.images import StoredImages, Subset
from gendistill.priors.base import Prior
from gendistill.priors.schedule import Schedule
from gendistill.priors.spaces import Hierarchy
from gendistill.steering.base import unshaped
from gendistill.system.store import Store, fingerprint, read_tensors, write_tensors
from gendistill.types import LATENT, Class, Conditions, Estimate, Ids, Labels, Latents, Level, Pixels, RealData


class ToyPrior:
    """A diffusion prior with a known answer: the latents of class k are normal around a centre, with a known deviation.

    The clean estimate is the exact posterior mean, so every sampler must land on the class's distribution. Latents are
    half-resolution pixels; decoding repeats them.
    """

    fingerprint = encoder = "toy"
    cfg_channels = 1
    deviation = 0.1

    def __init__(self, classes: int, size: int = 8, channels: int = 1) -> None:
        """Centres are spread over [0.2, 0.8], a pattern per class."""
        self.latent_shape = (channels, size // 2, size // 2)
        stream = seeds.stream("toy centres")
        self.centres = 0.2 + 0.6 * torch.rand(classes, *self.latent_shape, generator=stream)
        self.schedule = Schedule("DDIMScheduler", {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"})

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal latents."""
        return {LATENT: seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape)}

    def encode(self, pixels: Pixels) -> Tensor:
        """Mean over 2x2 pixels."""
        return torch.nn.functional.avg_pool2d(pixels, 2)

    def decode(self, latents: Latents) -> Pixels:
        """Every latent becomes 2x2 pixels."""
        return latents[LATENT].repeat_interleave(2, 2).repeat_interleave(2, 3)

    def condition(self, labels: Labels) -> Conditions:
        """Rows of the centres; the null row is the mean of all."""
        return Conditions({"class": labels.clone()}, {"class": torch.full_like(labels, -1)})

    def denoise(self, x: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The posterior mean of a normal with deviation `deviation` around the class's centre."""
        centre = self._centre(conditions.values["class"])
        alpha, sigma, variance = _column(level.alpha), _column(level.sigma), self.deviation**2
        return Estimate(centre + variance * alpha / (alpha**2 * variance + sigma**2) * (x - alpha * centre))

    def features(self, x: Tensor, level: Level, conditions: Conditions, layers: tuple[float, float]) -> Tensor:
        """The tangent of the clean estimate: smooth, and another at every level."""
        return self.denoise(x, level, conditions).clean.tanh().flatten(1)

    def embed(self, conditions: Conditions) -> Conditions:
        """The centres themselves."""
        null = {name: self._centre(rows) for name, rows in conditions.null.items()}
        return Conditions({"class": self._centre(conditions.values["class"])}, null)

    def _centre(self, asked: Tensor) -> Tensor:
        if asked.is_floating_point():
            return asked
        return torch.where((asked >= 0).view(-1, 1, 1, 1), self.centres[asked.clamp_min(0)], self.centres.mean(0))


def _column(value: float | Tensor) -> Tensor:
    return torch.as_tensor(value).float().view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Toy(Prior):
    """Settings of the toy prior."""

    loads = ToyPrior

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> ToyPrior:
        """The prior for these data."""
        return ToyPrior(len(data.classes), data.train.shape[-1], data.train.shape[0])


class ToyNet(torch.nn.Module):
    """What the toy generator learns: the centres of its classes."""

    def __init__(self, centres: Tensor, deviation: float) -> None:
        """Start at these centres."""
        super().__init__()
        self.centres, self.deviation = torch.nn.Parameter(centres.clone()), deviation

    def forward(self, z: Tensor, rows: Labels) -> Pixels:
        """Pictures of noise, for the classes of these rows."""
        maps = self.centres[rows] + self.deviation * z
        return maps.repeat_interleave(2, 2).repeat_interleave(2, 3)


class ToyDiscriminator(torch.nn.Module):
    """Likes pictures by how near they are to a centre of the class, which it learns."""

    def __init__(self, centres: Tensor) -> None:
        """Start at these centres."""
        super().__init__()
        self.centres = torch.nn.Parameter(centres.clone())

    def forward(self, pixels: Pixels, rows: Labels) -> Tensor:
        """(n,) scores of pictures, as pictures of the classes of these rows."""
        return -(torch.nn.functional.avg_pool2d(pixels, 2) - self.centres[rows]).square().flatten(1).sum(1)


class ToyGenerator(Hierarchy):
    """A generator with a known answer: noise lands on the distribution that the toy diffusion prior samples from.

    In ``z`` there are noise and the class's centre. In ``w+`` there is their sum, as half-resolution pixels, and a style, which is
    zero. In ``f16``, called so that recipes for large generators run on it, the style is what is still to be added.
    """

    spaces = ("z", "w+", "f16")

    def __init__(self, classes: int, size: int = 8, channels: int = 1) -> None:
        """The centres are those of the toy prior."""
        self.toy = ToyPrior(classes, size, channels)
        self.latent_shape, self.rows = self.toy.latent_shape, torch.arange(classes)
        self.net = ToyNet(self.toy.centres, self.toy.deviation).requires_grad_(False)
        self._judge: torch.nn.Module = ToyDiscriminator(self.toy.centres)

    @property
    def fingerprint(self) -> str:
        """Of its centres."""
        return fingerprint("toy generator", self.net.centres)

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal noise."""
        return {"z": seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape)}

    def generate(self, noise: Latents, labels: Labels) -> Latents:
        """Noise beside its class's centre."""
        return {"z": noise["z"], "class": self.net.centres[labels]}

    def step(self, latents: Latents, index: int) -> Latents:
        """The sum, then the sum apart from the style."""
        if index == 0:
            maps = latents["class"] + self.toy.deviation * latents["z"]
            return {"w+": torch.stack([maps, torch.zeros_like(maps)], 1)}
        return {"f16": latents["w+"][:, 0], "w+": latents["w+"][:, 1:]}

    def render(self, latents: Latents) -> Pixels:
        """Every number becomes 2x2 pixels."""
        return self.toy.decode({LATENT: latents["f16"] + latents["w+"][:, 0]})

    def trainable(self) -> ToyNet:
        """A copy of the centres."""
        return deepcopy(self.net).requires_grad_(True)

    def judge(self) -> torch.nn.Module:
        """A copy of the discriminator."""
        return deepcopy(self._judge)

    def with_networks(self, generator: torch.nn.Module, discriminator: torch.nn.Module | None) -> ToyGenerator:
        """The generator with other centres; without a discriminator it has the first one again."""
        other = copy(self)
        other.net = cast(ToyNet, generator)
        other._judge = ToyDiscriminator(self.toy.centres) if discriminator is None else discriminator
        return other

    def save(self, folder: Path) -> None:
        """Write the centres."""
        write_tensors(folder / "generator.safetensors", self.net.state_dict())

    def keep(self, folder: Path) -> None:
        """Write the centres of both."""
        self.save(folder)
        write_tensors(folder / "discriminator.safetensors", self._judge.state_dict())

    def reload(self, folder: Path) -> ToyGenerator:
        """The generator with the centres of a folder."""
        nets = self.trainable(), self.judge()
        for net, name in zip(nets, ("generator", "discriminator"), strict=True):
            net.load_state_dict(read_tensors(folder / f"{name}.safetensors"))
            net.requires_grad_(False)
        return self.with_networks(*nets)


@dataclass(frozen=True)
class ToyGan(Prior):
    """Settings of the toy generator."""

    loads = ToyGenerator

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> ToyGenerator:
        """The generator for these data."""
        return ToyGenerator(len(data.classes), data.train.shape[-1], data.train.shape[0])


@dataclass(frozen=True)
class ToyData:
    """Pictures around the toy prior's own centres, split in halves for training and testing."""

    classes: int = 3
    per_class: int = 12
    size: int = 8
    channels: int = 1

    def open(self) -> RealData:
        """Two sets in memory."""
        return RealData("toy", self._images("train"), lambda: self._images("test"), licence="CC0-1.0")

    def _images(self, side: str) -> StoredImages:
        prior = ToyPrior(self.classes, self.size, self.channels)
        labels = torch.arange(self.classes).repeat_interleave(self.per_class)
        spread = torch.randn(len(labels), *prior.latent_shape, generator=seeds.stream("toy", side))
        pixels = prior.decode({LATENT: prior.centres[labels] + prior.deviation * spread})
        names = [Class(f"class {index}") for index in range(self.classes)]
        return StoredImages(names, labels, pixels.clamp(0, 1).mul(255).round().to(torch.uint8))


def toy_context(
    folder: Path,
    classes: tuple[int, ...] = (0, 1),
    ipc: int = 2,
    data: ToyData | None = None,
    prior: Prior = Toy(),  # noqa: B008 (frozen)
) -> Context:
    """A unit of a run on toy data with a toy prior; the cache is in ``folder``. Every other real picture was made before."""
    real = (data or ToyData()).open()
    made = Subset(real.train, torch.arange(0, len(real.train), 2))
    device = torch.device("cpu")
    return Context(real=real, store=Store(folder), device=device, dtype=torch.float32, seed=0, ipc=ipc, block=4,
                   prior=prior.load(real, device, torch.float32), classes=classes, made=made)  # fmt: skip


def toy_draft(context: Context) -> Draft:
    """Unshaped clean latents for every slot of the context's classes."""
    ids = torch.tensor([(index, slot, 0) for index in context.classes for slot in range(context.ipc)])
    labels = ids[:, 0].clone()
    assert context.prior is not None
    return Draft(context.prior, unshaped(context.prior, 1, ids, labels), ids, labels, torch.ones(len(ids)))
