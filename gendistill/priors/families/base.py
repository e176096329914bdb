"""What is particular to a kind of text-to-image pipeline: what its text encoders answer and how its network is called.

A family is one file of this folder; which one drives a pipeline follows from the name of the pipeline's class.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gendistill.types import UserError

Config = Mapping[str, Any]
Texts = dict[str, Tensor]
"""What text encoders answer, by name, (1, ...) each. Truth values say which tokens count."""


class Limit(NamedTuple):
    """What a text encoder takes: its tokens of a prompt, counted by its own tokenizer, and the most there may be."""

    encoder: str
    tokens: Callable[[str], int]
    most: int


class Family(ABC):
    """One kind of pipeline. What can be known without weights are class methods, of the configs of the parts.

    pipelines    names of the diffusers classes it drives
    network      what they call their denoiser
    length       tokens that text encoders with no bound of their own are given, as in the stock pipeline; None where all have one
    lora_layers  how the names of the linear layers end that diffusers' own LoRA scripts change
    guidance     usual strength of the guidance that a network was distilled with, as in the stock pipeline; None where none was
    """

    pipelines: ClassVar[tuple[str, ...]]
    network: ClassVar[str] = "transformer"
    length: ClassVar[int | None] = None
    lora_layers: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    guidance: ClassVar[float | None] = None

    def __init__(self, pipe: Any, side: int, length: int | None, guidance: float | None) -> None:
        """``side`` of the pictures in pixels; ``length`` and ``guidance`` as said, or None for the usual ones."""
        self.pipe, self.side = pipe, side
        self.config: Config = dict(getattr(pipe, self.network).config)
        self.most = length or type(self).length
        self.strength = (guidance or type(self).guidance) if self.takes_guidance(self.config) else None

    @classmethod
    def side_of(cls, network: Config, factor: int) -> int:
        """Side of the pictures the checkpoint was made for, in pixels; ``factor`` is that of the autoencoder."""
        size = network["sample_size"]
        return (size if isinstance(size, int) else size[0]) * factor

    @classmethod
    def patch(cls, network: Config) -> int:
        """Latents a side must be a multiple of."""
        return network.get("patch_size") or 1

    @classmethod
    def channels(cls, network: Config) -> int:
        """Of the latents that the network takes."""
        return network["in_channels"]

    @classmethod
    def largest(cls, network: Config, factor: int) -> int | None:
        """The longest side it can draw, in pixels, where there is one."""
        return None

    @classmethod
    def takes_guidance(cls, network: Config) -> bool:
        """Whether the network is told the strength of a guidance it was distilled with."""
        return bool(network.get("guidance_embeds"))

    @classmethod
    def limits(cls, tokenizers: Mapping[str, Any], length: int | None) -> list[Limit]:
        """What each of its text encoders takes."""
        return [clip_limit(name, tokenizer) for name, tokenizer in tokenizers.items()]

    @classmethod
    def check_lengths(cls, prompts: Iterable[str], tokenizers: Mapping[str, Any], length: int | None) -> None:
        """Raise `UserError` if a prompt is longer than a text encoder takes: pipelines would cut it and go on."""
        limits = cls.limits(tokenizers, length)
        for prompt in prompts:
            for limit in limits:
                if (found := limit.tokens(prompt)) > limit.most:
                    raise UserError(
                        f"the prompt {prompt!r} has {found} tokens for {limit.encoder}, which takes {limit.most}: shorten its "
                        "template, or give its class a prompt of its own with overrides"
                    )

    @classmethod
    def timing(cls, scheduler: Config, network: Config, latents: int) -> Callable[[int], Mapping[str, Any]] | None:
        """What the scheduler is told for a number of steps beside it, where latents have this side; None for nothing."""
        return None

    @abstractmethod
    def encode(self, prompt: str, device: torch.device) -> Texts:
        """What the pipeline's own text encoders make of a prompt."""

    def nothing(self, negative: str, device: torch.device) -> Texts:
        """What stands in its place for classifier-free guidance: the negative prompt, or the empty one."""
        return self.encode(negative, device)

    @abstractmethod
    def ask(self, network: Any, x: Tensor, time: Tensor, texts: Mapping[str, Tensor]) -> Tensor:
        """What the network says of latents (n, c, h, w) at training steps (n,)."""

    def packed(self, x: Tensor) -> Tensor:
        """Latents (n, c, h, w) as the pipeline itself holds them between its steps."""
        return x

    def unpacked(self, x: Tensor, latents: int) -> Tensor:
        """The other way, for latents of this side."""
        return x

    def told(self, x: Tensor) -> Tensor | None:
        """The strength of the distilled guidance for each row of ``x``, float32; None where the network takes none."""
        return None if self.strength is None else torch.full((len(x),), float(self.strength), device=x.device)


def clip_limit(name: str, tokenizer: Any) -> Limit:
    """A CLIP takes as many tokens as it has positions, the first and the last included."""
    return Limit(f"{name} (CLIP)", lambda prompt: len(tokenizer(prompt).input_ids), int(tokenizer.model_max_length))


def long_limit(name: str, tokenizer: Any, most: int | None, written: Callable[[str], str] = str) -> Limit:
    """Other encoders have no such bound; the pipeline sets one. ``written`` is what it does to a prompt first."""
    assert most is not None
    return Limit(name, lambda prompt: len(tokenizer(written(prompt)).input_ids), most)


def tidied(prompt: str) -> str:
    """A prompt as PixArt and Sana read it."""
    return prompt.lower().strip()


def shift_of(scheduler: Config, tokens: int, most: float) -> Mapping[str, float]:
    """What a scheduler whose shift follows from the size of a picture is told of it: mu, linear in the number of tokens."""
    if not scheduler.get("use_dynamic_shifting"):
        return {}
    low, high = scheduler.get("base_image_seq_len", 256), scheduler.get("max_image_seq_len", 4096)
    begin, end = scheduler.get("base_shift", 0.5), scheduler.get("max_shift", most)
    slope = (end - begin) / (high - low)
    return {"mu": tokens * slope + (begin - slope * low)}


@cache
def families() -> tuple[type[Family], ...]:
    """All of them, found by walking this folder."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return tuple(
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Family)
        and item is not Family
        and item.__module__ == module.__name__
    )


def family_of(pipeline: str, whose: str) -> type[Family]:
    """The family that drives a class of pipelines.

    Raises:
        UserError: none does.
    """
    for family in families():
        if pipeline in family.pipelines:
            return family
    known = ", ".join(sorted(name for family in families() for name in family.pipelines))
    hint = "; that one is asked for classes: LatentDiffusion(...)" if pipeline == "DiTPipeline" else ""
    raise UserError(f"{whose} is a {pipeline}, which cannot be steered here{hint}. Those that can: {known}")
