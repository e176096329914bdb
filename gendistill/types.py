"""The nouns every part shares, and the conventions they agree on, stated once.

Axes    n pictures, c channels, h height, w width, d features, k classes.
Pixels  float, (n, c, h, w), in [0, 1]. Stored pictures are 8-bit: ``pixels = stored / 255``.
Latent  what a prior's ``decode`` accepts. A draft holds latents by name, because some generators are
        driven by several at once; a prior with a single one calls it ``latent``.
Ids     int64, (n, 3): class, slot, candidate. The random stream of a picture follows from its id alone.
Time    training time t / T of a noise level, in [0, 1]; 1 is pure noise, 0 is clean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from gendistill.devices import sent
from gendistill.errors import Diverged as Diverged
from gendistill.errors import UserError as UserError

Pixels: TypeAlias = Float[Tensor, "n c h w"]
Stored: TypeAlias = UInt8[Tensor, "n c h w"]
Labels: TypeAlias = Int[Tensor, " n"]
Ids: TypeAlias = Int[Tensor, "n 3"]
Losses: TypeAlias = Float[Tensor, " groups"]
LogProbs: TypeAlias = Float[Tensor, "n k"]
Latents: TypeAlias = Mapping[str, Tensor]

LATENT = "latent"
"""The name of the only latent of a prior that has one."""


@dataclass(frozen=True)
class Class:
    """A class of pictures: a name, and the WordNet id when it is an ImageNet synset."""

    name: str
    wnid: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.wnid})" if self.wnid else self.name


class Images(ABC):
    """Labelled 8-bit pictures, read on demand: never one tensor of everything unless it is small.

    classes      the classes, in index order
    labels       (N,) int64 on the CPU, known without reading a picture
    shape        (c, h, w) of every picture
    fingerprint  content hash: equal pictures and labels in equal order have equal fingerprints
    distinct     sets of pictures behind these labels: 1, or more where a generator draws them anew
    bytes        what a user stores instead of the pictures; None where it is the pictures themselves
    """

    classes: tuple[Class, ...]
    labels: Tensor
    shape: tuple[int, int, int]
    fingerprint: str
    distinct: int = 1
    bytes: int | None = None

    @abstractmethod
    def stored(self, indices: Sequence[int] | Tensor) -> Stored:
        """8-bit pictures at these positions, (n, c, h, w) uint8 on the CPU."""

    def pixels(self, indices: Sequence[int] | Tensor, device: str | torch.device = "cpu") -> Pixels:
        """Pictures at these positions as float32 in [0, 1], on a device: they travel there as they are stored."""
        return sent(self.stored(indices), torch.device(device)).float().div_(255)

    def at_epoch(self, number: int) -> Images:
        """What a student sees in this epoch: these pictures, or others of the same labels where they are drawn anew."""
        return self

    def where(self, index: int) -> Tensor:
        """Positions of the pictures of class ``index``, ascending."""
        return torch.nonzero(self.labels == index).flatten()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class RealData:
    """A data set that was opened: what may be looked at, and what is only for the end.

    train  pictures that distillation, teachers and every choice may use
    test   opens the held-out pictures; called once, by the evaluation; None where there are none
    split  "test", or "val" when the held-out pictures were taken from the training pictures
    """

    name: str
    train: Images
    test: Callable[[], Images] | None
    split: str = "test"
    licence: str = "unknown"

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes, in index order."""
        return self.train.classes


@runtime_checkable
class Source(Protocol):
    """Settings of real data: where it is, not yet read."""

    def open(self) -> RealData:
        """Read the index (names and labels, no picture) and return the data."""
        ...


@dataclass(frozen=True)
class Level:
    """A noise level: ``x = alpha * clean + sigma * noise``. Scalars, or one number per picture."""

    alpha: float | Tensor
    sigma: float | Tensor
    time: float | Tensor


CLEAN = Level(1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Conditions:
    """What a prior is asked for, one row per picture, and the rows that ask for nothing.

    values  by name, (n, ...) each: class rows, text states ...
    null    the same names and shapes, for classifier-free guidance; empty where a prior knows no null
    """

    values: Mapping[str, Tensor]
    null: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, rows: Tensor | slice) -> Conditions:
        return Conditions({k: v[rows] for k, v in self.values.items()}, {k: v[rows] for k, v in self.null.items()})


@dataclass(frozen=True)
class Estimate:
    """A denoiser's answer: the clean latent, float32, and the learned variance where there is one.

    log_variance  the head's raw interpolation between the two variance bounds, in [-1, 1] (DiT), or None
    """

    clean: Tensor
    log_variance: Tensor | None = None


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


@dataclass(frozen=True)
class Draft:
    """Pictures in the making: what one steering step hands to the next.

    latents     by name, (n, ...) each; empty before the first step
    level       how noisy the latents are; CLEAN means `decode` may be called
    conditions  what the prior is asked for; None before a prior was asked
    ids         (n, 3) class, slot, candidate
    labels      (n,) class of each picture
    weight      (n,) how much each picture counts when a student learns from it
    prompts     what was said for each picture, where the prior is asked in words; None before, and for other priors
    """

    prior: LoadedPrior
    latents: Latents
    ids: Ids
    labels: Labels
    weight: Tensor
    level: Level = CLEAN
    conditions: Conditions | None = None
    prompts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Draft:
        return replace(
            self,
            latents={k: v[rows] for k, v in self.latents.items()},
            ids=self.ids[rows],
            labels=self.labels[rows],
            weight=self.weight[rows],
            conditions=None if self.conditions is None else self.conditions[rows],
            prompts=picked(self.prompts, torch.arange(len(self))[rows]),
        )


def picked(texts: tuple[str, ...] | None, rows: Tensor) -> tuple[str, ...] | None:
    """The texts at these positions; None where there are none."""
    return None if texts is None else tuple(texts[int(row)] for row in rows)


class Synthetic:
    """Pictures as an objective sees them, the same in sampling, optimisation and fine-tuning.

    x        the latent at its noise level (equal to ``clean`` at level CLEAN)
    clean    the clean latent, or its estimate
    pixels   ``clean`` decoded, on first use only: an objective in latent space costs no decoder
    step     of the optimisation or the sampler: what is drawn anew at every step follows from it
    made     pictures of these classes that were finished before, where they are made one after the other; else None
    """

    def __init__(
        self,
        prior: LoadedPrior,
        latents: Latents,
        ids: Ids,
        labels: Labels,
        *,
        x: Tensor | None = None,
        level: Level = CLEAN,
        conditions: Conditions | None = None,
        step: int = 0,
        made: Draft | None = None,
        decode: Callable[[Latents], Pixels] | None = None,
    ) -> None:
        """``decode`` replaces the prior's own, where memory or a cheaper decoder for gradients asks for it."""
        self.prior, self.latents, self.ids, self.labels = prior, latents, ids, labels
        self.level, self.conditions, self.step, self.made = level, conditions, step, made
        self._decode = decode or prior.decode
        self._x: Tensor | None = x
        self._pixels: Pixels | None = None

    @property
    def clean(self) -> Tensor:
        """The clean latent of a prior with a single one, (n, *latent_shape).

        Raises:
            UserError: the prior has none, but a hierarchy of spaces.
        """
        if LATENT not in self.latents:
            raise UserError(
                "this objective looks at the latent of a diffusion prior, and these pictures are made of "
                f"{', '.join(self.latents)}: use one that looks at pixels, or put AsPixels() before the step"
            )
        return self.latents[LATENT]

    @property
    def x(self) -> Tensor:
        """The latent at its noise level."""
        return self.clean if self._x is None else self._x

    @property
    def pixels(self) -> Pixels:
        """Pixels of the clean latent, differentiable, not clamped."""
        if self._pixels is None:
            self._pixels = self._decode(self.latents)
        return self._pixels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def leaves(self) -> list[Tensor]:
        """What gradients are asked for: latents, the noisy latent and conditions, where they require any."""
        asked = () if self.conditions is None else self.conditions.values.values()
        return [one for one in (*self.latents.values(), self._x, *asked) if one is not None and one.requires_grad]

    def part(self, rows: slice) -> Synthetic:
        """Some of the pictures, decoded by themselves, with leaves of their own in the place of those here."""

        def own(value: Tensor) -> Tensor:
            return value[rows].detach().requires_grad_(value.requires_grad)

        conditions = None
        if self.conditions is not None:
            values = {name: own(value) for name, value in self.conditions.values.items()}
            conditions = Conditions(values, self.conditions[rows].null)

        def of_level(value: float | Tensor) -> float | Tensor:
            return value[rows] if isinstance(value, Tensor) and value.dim() else value

        return Synthetic(
            self.prior,
            {name: own(value) for name, value in self.latents.items()},
            self.ids[rows],
            self.labels[rows],
            x=None if self._x is None else own(self._x),
            level=Level(*map(of_level, (self.level.alpha, self.level.sigma, self.level.time))),
            conditions=conditions,
            step=self.step,
            made=self.made,
            decode=self._decode,
        )


Loss: TypeAlias = Callable[[Synthetic], Losses]
"""An objective bound to real pictures: one number per group it can tell apart, to be summed."""


class SoftLabels(ABC):
    """What the pictures of a set are, by name: log-probabilities over the classes, per picture and view.

    temperature  the temperature a student's loss should use with them (dimensionless)
    kind         "hard", "soft", "views" or "online": named in every result
    bytes        what they cost on disk; of online labels, what their teachers do
    views        the views they are of, which a student must then look at; None for labels of the pictures as they are
    """

    kind: str
    temperature: float
    bytes: int
    views: Any = None

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of all that `at` may answer."""

    @abstractmethod
    def save(self, folder: Path) -> dict[str, object]:
        """Write the labels into the folder of their set, and return what `gendistill.labelers.stored.read` must be told."""

    @abstractmethod
    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """Log-probabilities at temperature 1 of the pictures at these positions, seen in this view."""

    def seen(self, pixels: Pixels, positions: Tensor, view: int) -> LogProbs:
        """What `at` says, for who has the pixels of these pictures in this view at hand."""
        return self.at(positions, view)

    def view(self, epoch: int, epochs: int, first: int = 0) -> int:
        """Number of the view that a student of so many ``epochs`` looks at in this one; students differ by the ``first``."""
        return first + epoch

    def temperature_at(self, epoch: int, epochs: int) -> float:
        """The temperature of a student's loss in this epoch of so many."""
        return self.temperature
