"""The diffusion prior that a command line names, and pictures brought to what it draws."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, cast

from gendistill.config.overrides import read_value
from gendistill.priors.base import Prior
from gendistill.priors.checkpoint import read_index
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.types import UserError


def prior_of(
    text: str, *, revision: str | None = None, variant: str | None = None, prompts: str | Prompts | None = None
) -> Prior:
    """The prior of a hub id or folder, by what its ``model_index.json`` says; or a part, written as in a recipe.

    prompts  a template, several, or ``Prompts(...)``, also as text; for priors that are asked in words

    Raises:
        UserError: there is no such pipeline, or it takes none of these.
    """
    value = read_value(text)
    if not isinstance(value, str | Prior):
        raise UserError(
            f"{text} is no prior: give a hub id, a folder, or a prior written as in a recipe, such as Pixels()"
        )
    if isinstance(value, Prior) and (revision or variant):
        raise UserError(f"revision and variant are for a hub id or folder; write them into {text}")
    prior = value if isinstance(value, Prior) else _opened(text, revision, variant)
    if prompts is None:
        return prior
    if not isinstance(prior, TextToImage):
        raise UserError(f"prompts are for priors that are asked in words; {prior!r} is asked for classes")
    said = read_value(prompts) if isinstance(prompts, str) else prompts
    return replace(prior, prompts=said if isinstance(said, Prompts) else Prompts(said))


def sized(prior: Prior, resolution: int | None) -> Prior:
    """The prior, told to draw at this resolution, or else at its own; pictures of any size are then brought to it.

    Raises:
        UserError: it draws at another one and cannot be told.
    """
    if isinstance(prior, TextToImage):
        return replace(prior, size=resolution or prior.size or prior.own_size())
    if resolution is not None and isinstance(prior, LatentDiffusion) and prior.shape()[-1] != resolution:
        raise UserError(f"resolution={resolution}: {prior!r} draws {prior.shape()[-1]} px and nothing else")
    return prior


def framed(source: Any, prior: Prior, resolution: int | None = None) -> Any:
    """A source of pictures whose size and channels, where it leaves them open, are those that the prior draws."""
    drawn = sized(prior, resolution)
    if not isinstance(drawn, TextToImage | LatentDiffusion):
        return source
    channels, side, _ = drawn.shape()
    return filled(source, size=drawn.size if isinstance(drawn, TextToImage) else side, channels=channels)


def filled(source: Any, **given: int | None) -> Any:
    """A source of pictures with these settings where it leaves them open."""
    if not is_dataclass(source):
        return source
    left_open = {name: value for name, value in given.items() if getattr(source, name, value) is None}
    return replace(cast(Any, source), **left_open) if left_open else source


def _opened(source: str, revision: str | None, variant: str | None) -> Prior:
    index = read_index(source, revision, "diffusers pipeline", "model_index.json")
    if index.get("_class_name") != "DiTPipeline":
        return TextToImage(source, revision=revision, variant=variant)
    if variant is not None:
        raise UserError(f"variant={variant!r} is for text-to-image pipelines; {source!r} is a DiTPipeline")
    return LatentDiffusion(source, revision=revision)
