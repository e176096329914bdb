"""A small distilled decoder that stands in for the prior's own where a gradient is wanted (TAESD, Bohan, 2023).

https://github.com/madebyollin/taesd. Pictures are always rendered by the prior's own decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor

from gendistill.context import Context
from gendistill.priors.loaded_text_to_image import LoadedTextToImage, resized
from gendistill.system.store import fingerprint_state
from gendistill.types import LATENT, Pixels, UserError


@dataclass(frozen=True, eq=False, repr=False)
class GivenDecoder:
    """A decoder that was loaded elsewhere; two are equal where their weights are."""

    vae: AutoencoderTiny

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights."""
        return fingerprint_state(self.vae)

    def __repr__(self) -> str:
        return f"<{type(self.vae).__name__} {self.fingerprint}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GivenDecoder) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def as_decoder(given: Any) -> str | GivenDecoder | None:
    """A name as it is, and a loaded decoder wrapped.

    Raises:
        UserError: something else.
    """
    if given is None or isinstance(given, str | GivenDecoder):
        return given
    if isinstance(given, AutoencoderTiny):
        return GivenDecoder(given)
    raise UserError(f"decoder={given!r}: give a hub id or folder of an AutoencoderTiny, or a loaded one")


def load_decoder(source: str | GivenDecoder, context: Context) -> Callable[[Mapping[str, Tensor]], Pixels]:
    """A function from the prior's latents to pixels in [0, 1], differentiable and not clamped.

    Raises:
        UserError: there is no such decoder, or its pictures have another shape than the real ones.
    """

    def load() -> Any:
        if isinstance(source, GivenDecoder):
            return source.vae
        try:
            return AutoencoderTiny.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no small decoder at {source!r}: {str(error).splitlines()[0]}. Without a network, give the folder of a "
                "downloaded copy"
            ) from error

    vae: Any = context.once(
        ("small decoder", repr(source)), lambda: load().to(context.device).eval().requires_grad_(False)
    )

    shown = context.prior.shown if isinstance(context.prior, LoadedTextToImage) else None  # it may draw another size

    def decode(latents: Mapping[str, Tensor]) -> Pixels:
        pixels = vae.decode(latents[LATENT].float() / vae.config.scaling_factor).sample * 0.5 + 0.5
        return pixels if shown is None else resized(pixels, shown)

    assert context.prior is not None
    with torch.no_grad():
        try:
            found = tuple(
                decode({LATENT: torch.zeros(1, *context.prior.latent_shape, device=context.device)}).shape[1:]
            )
        except RuntimeError as error:
            raise UserError(
                f"the small decoder {source!r} does not take latents of {context.prior.latent_shape}"
            ) from error
    if found != tuple(context.real.train.shape):
        raise UserError(
            f"the small decoder {source!r} makes {found} pictures, the data has {tuple(context.real.train.shape)}"
        )
    return decode
