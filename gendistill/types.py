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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gendistill.errors import Diverged as Diverged
from gendistill.errors import UserError as UserError
from gendistill.system.devices import sent

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


class SoftLabels(ABC):
    """What the pictures of a set are, by name: log-probabilities over the classes, per picture and view.

    temperature  the temperature a student's loss should use with them (dimensionless)
    kind         "hard", "soft", "views" or "online": named in every result
    bytes        what they cost on disk; of online labels, what their teachers do
    views        the views they are of, which a student must then look at; None for labels of the pictures as they are
    loss         what a student minimises with them, a `LabelLoss`; None for what its training says
    count        how many of each picture are stored: those of views 0 to ``count - 1``
    """

    kind: str
    temperature: float
    bytes: int
    views: Any = None
    loss: Any = None
    count: int = 1

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

    def loss_at(self, epoch: int, epochs: int) -> Any:
        """What a student minimises in this epoch of so many; None for what its training says."""
        return self.loss
