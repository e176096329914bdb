"""What the steering benchmarks share: one data set, one prior checkpoint, and every pipeline brought to that size.

A scene replaces the data, the prior, the networks and the lengths of training and optimisation of a pipeline, by the kind of the
setting, never by the pipeline: so no row is tuned by hand. What a pipeline is about (its objectives, the weights and windows
of its guides, and their scales) stays as published; a matching objective has weight 1, which Adam does not see.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gendistill.anchors.inverted import Inverted
from gendistill.anchors.patches import Patches
from gendistill.capabilities import Generates, Prompted
from gendistill.config.pipeline import find_pipeline
from gendistill.context import Context
from gendistill.data.parquet import Parquet
from gendistill.data.validation import Validation
from gendistill.distilled import Distilled
from gendistill.evaluation.baselines import random_real, unsteered
from gendistill.evaluation.protocols import MATCHING, SCREENING, Protocol
from gendistill.labelers.relabel import Relabel
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.sampling import Interpolated
from gendistill.nets.trained import Student, Trained
from gendistill.objectives.denoiser_kernel import DenoiserKernel
from gendistill.objectives.diversity import Diversity
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.influence import Influence
from gendistill.objectives.matching import FeatureMatching
from gendistill.objectives.predictive_entropy import PredictiveEntropy
from gendistill.priors.base import Prior
from gendistill.priors.gan import Gan
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.pixels import Pixels
from gendistill.priors.schedule import Schedule
from gendistill.priors.text_to_image import TextToImage
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.conditioning import LabelMix
from gendistill.steering.finetune import FineTune
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.scales import OnMean, OnStep
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.system.progress import progress
from gendistill.types import RealData, UserError

CANDIDATES = {page.stem: str(page) for page in sorted(Path(__file__).with_name("candidates").glob("*.py"))}
"""By name: recipes that were looked at when the house recipe was chosen, and other ways to draw from the prior alone."""
UNSTEERED = "unsteered "
"""Before the name of a pipeline: its prior as it is."""
PUBLISHED_NUMBERS = 4 * 32 * 32
"""How many numbers a picture is to the checkpoint that published strengths are of, DiT-XL-2-256."""
BETAS = {
    LatentDiffusion: {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},  # DiT
    TextToImage: {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },  # Stable Diffusion 1 to XL
}
"""The noise schedules of the checkpoints that published times are of."""
ADDS_UP = {OnStep: 1.0, OnMean: 0.5}
"""What is added at every step of a sampler, by the power of their number that it comes to: displacements, and deviations."""


def schedule_of(prior: Prior) -> Schedule:
    """The noise levels of a published checkpoint."""
    return Schedule("DDIMScheduler", BETAS.get(type(prior), BETAS[LatentDiffusion]))


def ratio(schedule: Schedule, time: float) -> float:
    """Noise by signal at a training time."""
    level = schedule.level(time * schedule.total)
    return float(level.sigma) / max(float(level.alpha), 1e-8)


def adamw(epochs: int, **more: Any) -> Training:
    """The training of every network here."""
    return replace(SCREENING.full, epochs=epochs, **more)


@dataclass(frozen=True)
class Scene:
    """One data set and one prior.

    train, test  Parquet files
    size         side of the pictures
    prior        folder of the checkpoint; empty where only real pictures are asked for
    gan          folder of the generator of methods that need one, empty for none
    steps        denoiser steps of a sampler at most
    optimize     optimiser steps at most
    tune         optimiser steps of fine-tuning
    """

    name: str
    train: str
    test: str
    size: int
    prior: str = ""
    gan: str = ""
    width: int = 32
    steps: int = 25
    optimize: int = 200
    tune: int = 1000

    @classmethod
    def of(cls, given: argparse.Namespace) -> Scene:
        """What the command line says."""
        return cls(given.name, given.train, given.test, given.size, given.prior, given.gan)

    @property
    def numbers(self) -> int:
        """How many numbers a picture is to the prior."""
        config = json.loads((Path(self.prior) / "transformer" / "config.json").read_text())
        return config["in_channels"] * config["sample_size"] ** 2

    @property
    def schedule(self) -> Schedule:
        """The prior's noise levels."""
        config = json.loads((Path(self.prior) / "scheduler" / "scheduler_config.json").read_text())
        return Schedule(config["_class_name"], config)

    @property
    def net(self) -> ConvNet:
        """The student, and every network that is drawn or trained."""
        return ConvNet(depth=int(math.log2(self.size)) - 2, width=self.width)

    @property
    def teacher(self) -> Trained:
        """What guides. The ones that label differ from it by their seeds."""
        return Trained(net=replace(self.net, norm="batch"), training=adamw(4))

    @property
    def labeler(self) -> Relabel:
        """Soft labels by two networks that did not guide."""
        return Relabel(tuple(replace(self.teacher, seed=seed) for seed in (1, 2)), average="logits", temperature=4.0)

    @property
    def protocol(self) -> Protocol:
        """Screening, all real pictures learned for 4 epochs: some twenty seconds a student."""
        return replace(SCREENING, student=self.net, full=adamw(4), coresets=())

    @property
    def matching(self) -> Protocol:
        """The field's own: 1000 epochs of SGD with siamese augmentation, five students of width 128; in bfloat16, for its time."""
        training = replace(MATCHING.training, mixed_precision="bf16")
        full = replace(training, epochs=30, schedule=CosineDecay())
        return replace(MATCHING, student=replace(self.net, width=128), students=5, training=training, full=full)

    def source(self) -> Validation:
        """The training pictures, a tenth of them held out."""
        return Validation(Parquet(train=self.train, test=self.test, size=self.size))

    def whole(self) -> RealData:
        """All training pictures, and the test pictures."""
        return Parquet(train=self.train, test=self.test, size=self.size).open()

    def data(self, split: str) -> RealData:
        """Nine tenths of the training pictures to distil, judged by the last tenth ("val") or by the test pictures."""
        held = self.source().open()
        return held if split == "val" else replace(held, test=self.whole().test, split="test")

    def recipe(self, pipeline: str, ipc: int) -> Recipe:
        """A pipeline of the package or a candidate, at the size of this scene; without prompts where its prior takes none."""
        page = find_pipeline(CANDIDATES.get(pipeline, pipeline)).recipe
        published = self.fitted(page)
        published = replace(published, steering=self.levelled(published.steering, schedule_of(page.prior)))
        prior = self.prior_of(published)
        asked = issubclass(prior.loads, Prompted)
        steering = tuple(step for step in published.steering if asked or Prompted not in step.needs)
        return replace(
            published, real=self.source(), prior=prior, steering=steering, ipc=ipc, block=10,
            labeler=self.labeler if published.draws == 1 else published.labeler,  # what is drawn anew has no labels to keep
            rounds=min(published.rounds, 2, ipc),
        )  # fmt: skip

    def prior_of(self, published: Recipe) -> Prior:
        """Pixels where the method has no other prior, the generator where it needs one, else the checkpoint."""
        if isinstance(published.prior, Pixels):
            return published.prior
        if not any(Generates in step.needs for step in published.steering):
            if not self.prior:
                raise UserError("this method needs a diffusion prior: give --prior, the folder of a checkpoint")
            return LatentDiffusion(self.prior)
        if not self.gan:
            raise UserError(
                "this method needs a generator: give --gan, a folder of `gendistill train-prior --family gan`"
            )
        return Gan(self.gan)

    def fitted(self, value: Any) -> Any:
        """The same settings with what depends on size replaced, by kind."""
        if isinstance(value, tuple):
            return tuple(self.fitted(item) for item in value)
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            return value
        for kind, change in self.rules().items():
            if isinstance(value, kind):
                return change(value)
        return self.inside(value)

    def inside(self, value: Any, **changed: Any) -> Any:
        """The settings with everything below them fitted, and some fields replaced."""
        below = {f.name: self.fitted(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return replace(value, **{**below, **changed})

    def rules(self) -> Mapping[type, Callable[[Any], Any]]:
        """What is replaced, by kind."""
        return {
            Recipe: lambda recipe: replace(
                recipe, ipc=max(recipe.ipc, recipe.rounds), steering=self.fitted(recipe.steering)
            ),
            Influence: lambda one: replace(one, surrogate=Trained(net=self.net, training=adamw(4)), pictures=100),
            Trained: lambda one: replace(self.teacher, seed=one.seed),
            Student: lambda one: replace(one, net=self.net, training=adamw(1, least_steps=200, batch=50)),
            Interpolated: lambda one: self.inside(one, training=adamw(4), count=min(one.count, 2)),
            ConvNet: lambda one: self.net,
            ResNet: lambda one: self.net,
            Sample: self.sample_rule,
            Optimize: self.optimize_rule,
            FineTune: lambda one: self.inside(one, max_train_steps=self.tune, batch=30, ema_decay=0.99),
            TuneGenerator: lambda one: self.inside(one, epochs=1),  # the authors take 100
            FeatureMatching: lambda one: self.inside(one, batch=min(one.batch, 64), weight=1.0),
            GradientMatching: lambda one: self.inside(
                one, batch=min(one.batch, 64), inner=min(one.inner, 5), weight=1.0
            ),
            Guide: self.guide_rule,
            Patches: lambda one: self.inside(one, tiles=1),
            Inverted: lambda one: self.inside(one, steps=min(one.steps, self.steps), pictures=200, candidates=1000),
        }

    def sample_rule(self, one: Sample) -> Sample:
        """Fewer steps; what adds up over them is so much stronger: a displacement as their number, a deviation as its root."""
        steps = min(one.steps, self.steps)
        inside = self.inside(one, steps=steps)

        def stronger(guide: Guide) -> Guide:
            weight = guide.objective.weight * (one.steps / steps) ** ADDS_UP.get(type(guide.scale), 0.0)
            return replace(guide, objective=replace(guide.objective, weight=weight))

        return replace(inside, guides=tuple(stronger(guide) for guide in inside.guides))

    def guide_rule(self, one: Guide) -> Guide:
        """Its strength stays, whatever the objective; but that of a gradient whose elements shrink with their number does."""
        inside, weight = self.inside(one), one.objective.weight
        power = {Diversity: 1.0, PredictiveEntropy: 1.0, DenoiserKernel: 0.5}.get(type(one.objective), 0.0)
        if not one.matched:
            weight *= (self.numbers / PUBLISHED_NUMBERS) ** power
        return replace(inside, objective=replace(inside.objective, weight=weight))

    def levelled(self, value: Any, source: Schedule) -> Any:
        """The same settings with every time of the published noise schedule replaced by that of the same noise in this prior's."""
        if isinstance(value, tuple):
            return tuple(self.levelled(item, source) for item in value)
        if not dataclasses.is_dataclass(value) or isinstance(value, type) or not self.prior:
            return value
        changed = {f.name: self.levelled(getattr(value, f.name), source) for f in dataclasses.fields(value) if f.init}
        found: Any = replace(value, **changed)
        if isinstance(found, Inverted):
            return replace(found, to=self.time(found.to, source))
        if isinstance(found, Sample):
            return replace(found, strength=self.time(found.strength, source))
        if not isinstance(found, Guide | LabelMix):
            return found
        low, high = (self.time(end, source) for end in found.window)
        if isinstance(found, Guide):  # what adds up over steps does so over fewer in a narrower window
            share = (found.window[1] - found.window[0]) / (high - low)
            weight = found.objective.weight * share ** ADDS_UP.get(type(found.scale), 0.0)
            found = replace(found, objective=replace(found.objective, weight=weight))
        return replace(found, window=(low, high))

    def time(self, published: float, source: Schedule) -> float:
        """The training time at which this prior's pictures hold as much noise as at a published one; both ends stay."""
        if not 0 < published < 1:
            return published
        wanted = ratio(source, published)
        return min(
            (step / 1000 for step in range(1, 1000)),
            key=lambda time: abs(math.log(ratio(self.schedule, time) / wanted)),
        )

    def optimize_rule(self, one: Optimize) -> Optimize:
        """Adam for all: the published SGD rates are made for ten to a hundred times as many steps.

        Of the denoiser of a sampler, a small one, memory holds all that is computed on the way.
        """
        lr, steps = 0.01 if one.optimizer == "SGD" else one.lr, min(one.steps, self.optimize)
        return self.inside(one, steps=steps, optimizer="Adam", lr=lr, gradient_checkpointing=one.through is None)


class Opened:
    """The pictures of a scene and its priors, each loaded once."""

    def __init__(self, scene: Scene, data: RealData) -> None:
        self.scene, self.data = scene, data
        self._contexts: dict[type, Context] = {}

    def context(self, recipe: Recipe) -> Context:
        """What a recipe of the scene works with."""
        key = type(recipe.prior)
        if key not in self._contexts:
            self._contexts[key] = open_context(recipe, device(), torch.float32, progress)
        return replace(self._contexts[key], real=self.data)

    def sets(self, pipeline: str, ipc: int, draws: int = 1, **changes: Any) -> tuple[list[Distilled], Context]:
        """What a pipeline makes, or "unsteered NAME" its prior alone, and where it is judged.

        Drawing real pictures costs nothing, so these are drawn so many times.
        """
        recipe = replace(self.scene.recipe(pipeline.removeprefix(UNSTEERED), ipc), **changes)
        if pipeline.startswith(UNSTEERED):
            plain = unsteered(recipe)
            assert plain is not None, f"{pipeline}: this prior makes no pictures of its own"
            recipe = plain
        context, recipes = self.context(recipe), [recipe]
        if pipeline == "random_real":
            recipes = [replace(random_real(recipe), seed=seed) for seed in range(draws)]
        return [distill(one, context=context) for one in recipes], context


def arguments(doc: str | None, prior: bool = True) -> argparse.ArgumentParser:
    """A parser of what every benchmark on a scene is told; ``prior`` says whether it needs one."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    for flag in ("--train", "--test"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--prior", required=prior, default="")
    parser.add_argument("--gan", default="")
    parser.add_argument("--size", type=int, required=True)
    return parser


def device() -> torch.device:
    """Where benchmarks run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
