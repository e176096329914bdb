"""What a step or an objective may look at while it works: the real pictures, the prior, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from gendistill.capabilities import Encodes, LoadedPrior
from gendistill.system.environment import keep_memory
from gendistill.system.store import Store, cache_root
from gendistill.types import Images, RealData, Source, UserError
from gendistill.work import Work

T = TypeVar("T")
TOGETHER_PIXELS = 1 << 18
"""Pictures pass an autoencoder or a network in blocks of at most this many pixels, so that memory does not grow with their size."""


def silent(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Show no progress."""
    return items


@dataclass(frozen=True)
class Context:
    """One unit of work of a run: some classes, and everything that is known about them.

    classes   class indices of this unit; only their real pictures may be looked at
    ipc       pictures per class in the finished set
    block     slots that are worked on together
    seed      of the run; the streams of a step follow from it and the step's own name
    place     position of the step in the recipe, so that two steps of one kind draw different numbers
    resume    a file this unit may save its state to while it works, or None
    made      pictures finished in earlier rounds, which a student may be trained on; None where there are none
    dry       nothing is to be computed or kept for long: latents are random and teachers untrained, but of the right size
    progress  wraps an iterable and shows how far it is
    """

    real: RealData
    store: Store
    device: torch.device
    dtype: torch.dtype
    seed: int
    ipc: int
    block: int
    prior: LoadedPrior | None = None
    classes: tuple[int, ...] = ()
    place: int = 0
    resume: Path | None = None
    made: Images | None = None
    dry: bool = False
    progress: Callable[..., Iterable] = silent
    _memory: dict = field(default_factory=dict, repr=False, compare=False)
    _lasting: dict = field(default_factory=dict, repr=False, compare=False)

    def of(self, classes: tuple[int, ...], resume: Path | None = None) -> Context:
        """The same run, looking at other classes."""
        return replace(self, classes=classes, resume=resume, _memory={})

    def anew(self, **changes: Any) -> Context:
        """The same run with these fields changed and nothing remembered: where a stage begins."""
        return replace(self, **changes, _memory={}, _lasting={})

    def once(self, key: object, make: Callable[[], T]) -> T:
        """``make()``, remembered while this unit lasts."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def lasting(self, key: object, make: Callable[[], T]) -> T:
        """``make()``, remembered from unit to unit while their stage lasts: for what no class changes, such as frozen networks.

        Units of a stage take the same steps, so this holds no more than one of them needs.
        """
        if key not in self._lasting:
            self._lasting[key] = make()
        return self._lasting[key]

    def name_classes(self, labels: Tensor) -> str:
        """The names of the classes among these labels, for an error."""
        return ", ".join(str(self.real.classes[index]) for index in labels.unique().tolist())

    def stored(self, index: int) -> Tensor:
        """All real training pictures of class ``index``, uint8 on the CPU. One class is held at a time."""

        def read() -> tuple[int, Tensor]:
            return index, self.real.train.stored(self.real.train.where(index))

        if self.once("stored", read)[0] != index:
            del self._memory["stored"]
        return self.once("stored", read)[1]

    def latents(self, index: int) -> Tensor:
        """Latents of all real training pictures of class ``index``, (n, *latent_shape) on the CPU, kept on disk."""
        prior = self.prior
        assert prior is not None
        self._encoder()
        key = self._latents_key(index)
        if self.dry:
            return torch.randn(len(self.real.train.where(index)), *prior.latent_shape)

        def make() -> dict[str, Tensor]:
            return {"latents": self.encode(self.stored(index))}

        return self.once(("latents", index), lambda: self.store.tensors("latents", key, make)["latents"])

    def _latents_key(self, index: int) -> dict[str, object]:
        encoder = getattr(self._encoder(), "encoder")  # noqa: B009 (a Protocol that is tested by issubclass holds methods only)
        return {"data": self.real.train.fingerprint, "encoder": encoder, "class": index, "device": self.device.type}

    def kept(
        self, kind: str, index: int, more: Mapping[str, object], make: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Tensors that follow from the latents of class ``index`` and ``more``, kept on disk; made anew when dry."""
        return dict(make()) if self.dry else self.store.tensors(kind, {**self._latents_key(index), **more}, make)

    @torch.no_grad()
    def encode(self, stored: Tensor) -> Tensor:
        """Latents of 8-bit pictures, (n, *latent_shape) float32 on the CPU, block by block."""
        prior = self._encoder()
        blocks = stored.split(together(stored.shape))
        return torch.cat([prior.encode(block.to(self.device).float() / 255).float().cpu() for block in blocks])

    def _encoder(self) -> Encodes:
        if not isinstance(self.prior, Encodes):
            raise UserError(f"latents of real pictures need a prior that encodes; {type(self.prior).__name__} does not")
        return self.prior

    @cached_property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel of the real training pictures, in pixel units."""
        if self.dry:
            return (0.5,) * self.real.train.shape[0], (0.25,) * self.real.train.shape[0]
        key = {"data": self.real.train.fingerprint}
        found = self.store.tensors("statistics", key, lambda: channel_statistics(self.real.train))
        return tuple(found["mean"].tolist()), tuple(found["std"].tolist())


def open_real(source: Source, device: torch.device, progress: Callable[..., Iterable] = silent) -> Context:
    """The real data alone, for what needs no prior: teachers, labels and students. One picture a class, unless told otherwise.

    Raises:
        UserError: they are not there, or cannot be read.
    """
    keep_memory()
    return Context(
        real=source.open(), store=Store(cache_root()), device=device, dtype=torch.float32, seed=0, ipc=1, block=1,
        progress=progress,
    )  # fmt: skip


def together(shape: Sequence[int]) -> int:
    """How many pictures of shape (..., h, w) make a block, 1 to 256."""
    return _filling(TOGETHER_PIXELS, shape)


def passing(shape: Sequence[int], device: str | torch.device) -> int:
    """How many pass networks that keep nothing for a gradient: `together`, on a GPU of sixteen times the pixels, 1 to 256.

    A few pictures of 224 px leave a GPU idle most of the time. Of small ones there are no more: networks may enlarge them.
    """
    times = 1 if torch.device(device).type == "cpu" else 16
    return _filling(times * TOGETHER_PIXELS, shape)


def _filling(pixels: int, shape: Sequence[int]) -> int:
    return max(1, min(256, pixels // (shape[-1] * shape[-2])))


def blocks(total: int, size: int) -> list[slice]:
    """All of so many rows, ``size`` at a time."""
    return [slice(at, at + size) for at in range(0, total, size)]


def channel_statistics(images, at_most: int = 50_000) -> dict[str, Tensor]:
    """Mean and deviation per channel over evenly spaced pictures, accumulated in float64."""
    positions = torch.linspace(0, len(images) - 1, min(len(images), at_most)).long()
    channels = images.shape[0]
    total, squares, count = torch.zeros(channels).double(), torch.zeros(channels).double(), 0
    for part in positions.split(512):
        pixels = images.pixels(part).double()
        total, squares = total + pixels.sum((0, 2, 3)), squares + pixels.square().sum((0, 2, 3))
        count += pixels.numel() // pixels.shape[1]
    mean = total / count
    return {"mean": mean.float(), "std": (squares / count - mean.square()).clamp_min(1e-12).sqrt().float()}


def encoding(context: Context) -> Iterable[Work]:
    """The work of encoding the real pictures of the context's classes, which is kept on disk."""
    prior = context.prior
    assert isinstance(prior, Encodes)
    count = sum(len(context.real.train.where(index)) for index in context.classes)
    probe = torch.zeros(
        min(together(context.real.train.shape), count), *context.real.train.shape, device=context.device
    )

    def once() -> Tensor:
        with torch.no_grad():
            return prior.encode(probe)

    yield Work("encode", count / len(probe), once, shared=True, rows=len(probe), each="class")
