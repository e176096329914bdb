"""What a prior can do: any subset of these, declared by having the methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from gendistill.types import Conditions, Estimate, Ids, Labels, Latents, Level, Pixels


@runtime_checkable
class LoadedPrior(Protocol):
    """A generator with its weights: what every prior can do."""

    fingerprint: str
    latent_shape: tuple[int, ...]

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal starting points, one random stream per picture."""
        ...

    def decode(self, latents: Latents) -> Pixels:
        """Pixels, differentiable in the latents and not clamped (a clamp would stop gradients)."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """A prior that finds the latent of a given picture. Its ``encoder`` is a fingerprint of what the latent follows from."""

    def encode(self, pixels: Pixels) -> Tensor:
        """The latent of each picture, (n, *latent_shape); no randomness."""
        ...


@runtime_checkable
class Denoises(Protocol):
    """A prior that answers a noisy latent with the clean one, whatever its head predicts."""

    def condition(self, labels: Labels) -> Conditions:
        """Conditions that ask for these classes of the data."""
        ...

    def denoise(self, x: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The clean estimate of ``x`` at ``level``, float32."""
        ...


@runtime_checkable
class Features(Protocol):
    """A prior whose denoiser shows what it sees: what its middle layers make of a noisy latent."""

    def features(self, x: Tensor, level: Level, conditions: Conditions, layers: tuple[float, float]) -> Tensor:
        """Activations of the layers from .. to (shares of the depth in [0, 1]), averaged: (n, d) float32, differentiable."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """A prior whose conditions exist as real-valued tensors, which may be mixed and learned."""

    def embed(self, conditions: Conditions) -> Conditions:
        """The same conditions as floating point tensors, (n, ...) each; `denoise` takes them as it takes the others.

        What is no quantity, such as which tokens of a text count, stays a tensor of truth values or whole numbers.
        """
        ...


@runtime_checkable
class Prompted(Protocol):
    """A prior that is asked in words: `condition` asks for the prompts of the classes."""

    def prompts(self, labels: Labels, slots: Tensor | None = None) -> tuple[str, ...]:
        """What is said for pictures of these classes in these slots; in the first slot where none are given."""
        ...

    def condition_on(self, prompts: Sequence[str], negative: str | None = None) -> Conditions:
        """Conditions of these texts, one a picture; ``negative`` takes the place of the prior's own negative prompt."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A prior that makes a picture in one pass, through a hierarchy of feature spaces: a `Generator` names them.

    Latents in a space hold everything the rest of the generator needs, by name: the space's own tensor, and what later layers
    still ask for (the class's embedding, a style). `decode` takes latents in any space.
    """

    def generate(self, noise: Latents, labels: Labels) -> Latents:
        """Latents in the first space: the noise, asked for these classes of the data."""
        ...

    def push(self, latents: Latents, space: str) -> Latents:
        """The same pictures in a later space (or the one they are in), differentiable."""
        ...


@runtime_checkable
class Saves(Protocol):
    """A prior that writes itself down."""

    def save(self, folder: Path) -> None:
        """Write a folder from which the same prior loads: stock diffusers opens that of a diffusion prior."""
        ...


@runtime_checkable
class Trains(Saves, Protocol):
    """A diffusion prior whose denoiser can be trained further; the prior itself stays as it is."""

    def trainable(self) -> nn.Module:
        """A copy of the denoiser in float32, on the CPU and in eval mode, to be trained."""
        ...

    def with_denoiser(self, denoiser: nn.Module) -> Any:
        """This prior with another denoiser in the place of its own. What it answers changes as that one is trained."""
        ...

    def head_error(self, level: Level) -> float | Tensor:
        """Error of what the head predicts for an error of 1 of the clean estimate: one number per picture of ``level``."""
        ...

    def reload(self, folder: Path) -> Any:
        """A prior with the denoiser of such a folder, all else as here."""
        ...


@runtime_checkable
class Learns(Saves, Protocol):
    """A generator whose network can be trained further; the prior itself stays as it is. Class i of the data is its ``rows[i]``."""

    def trainable(self) -> nn.Module:
        """A copy of the network in float32, on the CPU, to be trained: from noise (n, *latent_shape) and rows (n,) to pixels."""
        ...

    def with_networks(self, generator: nn.Module, discriminator: nn.Module | None) -> Any:
        """This prior with another network in the place of its own, and who judges it. What it draws changes as that is trained."""
        ...

    def keep(self, folder: Path) -> None:
        """Write what `save` writes, and beside it the discriminator if there is one, for those who train on."""
        ...

    def reload(self, folder: Path) -> Any:
        """A prior with the networks of such a folder, all else as here."""
        ...


@runtime_checkable
class Judged(Protocol):
    """A generator that may have its discriminator beside it."""

    def judge(self) -> nn.Module:
        """A copy of the discriminator in float32, on the CPU, to be trained: scores (n,) of pixels as pictures of rows (n,).

        Raises:
            UserError: it was not kept.
        """
        ...


class Diffusion(LoadedPrior, Denoises, Protocol):
    """A loaded prior that denoises, with what a sampler must know of it.

    schedule      the noise levels it was trained on, see `gendistill.priors.schedule`
    cfg_channels  latent channels that classifier-free guidance changes
    """

    schedule: Any
    cfg_channels: int


class Generator(LoadedPrior, Generates, Protocol):
    """A loaded prior that generates, with the names of its spaces.

    spaces  from noise to the last one before pixels
    """

    spaces: tuple[str, ...]
