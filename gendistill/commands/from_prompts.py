"""A labelled set from prompts alone: `gendistill generate` as a recipe, which holds no real picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gendistill.data.class_names import ClassNames
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import Relabel
from gendistill.nets.zero_shot import Clip
from gendistill.priors.base import Prior
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.named import prior_of
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident
from gendistill.types import UserError

OVERSAMPLE = 4
"""Candidates per picture where a zero-shot classifier chooses among them."""


@dataclass(frozen=True, kw_only=True)
class FromPrompts:
    """What `gendistill generate` is told.

    prior       hub id or folder of a text-to-image pipeline of diffusers, or of a DiTPipeline, which is asked for its rows of the
                names of the classes; or a prior written as in a recipe
    subset      of ImageNet by name: imagenette, imagewoof, imagenet-1k ...
    classes     WordNet ids or words of ImageNet, separated by commas; "=any words" are taken as they stand. Of a subset, only these
    ipc         pictures per class
    template    of the prompts, with {name}, {article}, {words} or {definition} in it; of several, '("a {name}", "one {name}")', the
                pictures of a class take turns
    negative    what pictures should not show
    steps       of the scheduler; of Sample where not given
    cfg         classifier-free guidance; where not given, 1 for networks that guidance was distilled into (Flux dev, latent
                consistency models), of Sample for others
    scheduler   a diffusers scheduler by name; the checkpoint's own where not given
    size        side of the pictures that come out, in pixels; the checkpoint's own where not given, at which they are drawn anyway
    clip        zero-shot classifiers that filter, rank and label, separated by commas: open_clip's MODEL/WEIGHTS, such as
                ViT-B-32/openai, hf-hub:owner/name, or a folder
    oversample  candidates per picture, of which --clip keeps the best; 4 with it, 1 without
    seed        everything random follows from it
    soft        soft labels by --clip; None where there is one
    """

    prior: str
    subset: str | None = None
    classes: str | None = None
    ipc: int = 10
    template: str | tuple[str, ...] = "a photo of {article} {name}"
    negative: str = ""
    steps: int | None = None
    cfg: float | None = None
    scheduler: str | None = None
    size: int | None = None
    clip: str | None = None
    oversample: int | None = None
    seed: int = 0
    soft: bool | None = None

    def recipe(self) -> Recipe:
        """The recipe. Reads the checkpoint's configs where the size is to be its own.

        Raises:
            UserError: a class or subset is unknown, or means several things, the prior is not there, or options do not go together.
        """
        teachers = tuple(as_clip(word) for word in listed(self.clip))
        if self.soft and not teachers:
            raise UserError("--soft needs somebody who labels: give --clip, for example --clip ViT-B-32/openai")
        if (self.oversample or 1) > 1 and not teachers:
            raise UserError(
                f"--oversample {self.oversample} makes candidates, and nobody chooses among them: give --clip, for example "
                "--clip ViT-B-32/openai"
            )
        names = ClassNames(listed(self.classes) or None, subset=self.subset)
        prior, channels, side = self._prior()
        distilled = isinstance(prior, TextToImage) and prior.takes_guidance()
        cfg = 1.0 if self.cfg is None and distilled else self.cfg
        given = {"steps": self.steps, "cfg": cfg, "scheduler": self.scheduler}
        sample = Sample(
            oversample=(OVERSAMPLE if teachers else 1) if self.oversample is None else self.oversample,
            **{name: value for name, value in given.items() if value is not None},
        )
        soft = self.soft if self.soft is not None else bool(teachers)
        return Recipe(
            real=ClassNames(names.classes, subset=names.subset, size=side, channels=channels),
            prior=prior,
            steering=(sample, SelectConfident(teachers, easiest=True)) if teachers else (sample,),
            labeler=Relabel(teachers, average="probs") if soft else Hard(),
            ipc=self.ipc,
            seed=self.seed,
        )

    def _prior(self) -> tuple[Prior, int, int]:
        """The prior, and channels and side of the pictures that come out."""
        plain = (self.template, self.negative) == (FromPrompts.template, FromPrompts.negative)
        prior = prior_of(self.prior, prompts=None if plain else Prompts(self.template, negative=self.negative))
        if not isinstance(prior, TextToImage | LatentDiffusion):
            if self.size is None:
                raise UserError(f"--size is needed with --prior {self.prior}: the side of the pictures in pixels")
            return prior, ClassNames.channels, self.size
        channels, own, _ = prior.shape()
        if isinstance(prior, LatentDiffusion):
            if self.size not in (None, own):
                raise UserError(f"--size {self.size}: {prior!r} draws {own} px and nothing else")
            return prior, channels, own
        drawn = prior.size or own
        side = self.size or drawn
        return (prior if side == own else replace(prior, size=drawn)), channels, side


def listed(words: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


def as_clip(word: str) -> Clip:
    """A zero-shot classifier from its folder, its repository, or open_clip's names of model and weights."""
    if Path(word).is_dir() or word.startswith(("hf-hub:", "local-dir:")):
        return Clip(word)
    model, _, weights = word.partition("/")
    if not weights:
        raise UserError(
            f"--clip {word!r} names no weights, and is no folder: write MODEL/WEIGHTS, for example ViT-B-32/openai"
        )
    return Clip(model, weights)
