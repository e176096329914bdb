"""What a distilled set is always compared with: sets made by recipes of their own, with the same data, labeler and IPC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gendistill.anchors.base import Anchors
from gendistill.anchors.real_pictures import RealPictures
from gendistill.capabilities import Denoises, Generates
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start


def random_real(recipe: Recipe) -> Recipe:
    """Real pictures drawn at random, anew for every seed. They are kept, also where a generator is what is distilled."""
    return coreset(recipe, RealPictures())


def coreset(recipe: Recipe, anchors: Anchors) -> Recipe:
    """Real pictures that are chosen by a rule, with the labels of the recipe."""
    return replace(recipe, prior=Pixels(), steering=(Start(anchors),), rounds=1, draws=1, source="")


def unsteered(recipe: Recipe) -> Recipe | None:
    """The same prior's pictures of noise, sampled as the recipe samples them, without any guidance; None where it makes none."""
    if issubclass(recipe.prior.loads, Generates):
        return replace(recipe, steering=(Generate(),), rounds=1, source="")
    if not issubclass(recipe.prior.loads, Denoises):
        return None
    samples = [step for step in recipe.steering if isinstance(step, Sample)]
    kept = ("steps", "cfg", "scheduler", "eta")
    plain = Sample(**{name: getattr(samples[0], name) for name in kept}) if samples else Sample()
    return replace(recipe, steering=(plain,), rounds=1, source="")


def baselines(recipe: Recipe, coresets: Sequence[Anchors] = ()) -> Mapping[str, Recipe]:
    """Name -> recipe of every comparison that makes sense; a recipe is not compared with itself."""
    chosen = {name_of(anchors): coreset(recipe, anchors) for anchors in coresets}
    found = {"random_real": random_real(recipe), **chosen, "unsteered": unsteered(recipe)}
    return {name: other for name, other in found.items() if other is not None and other.steering != recipe.steering}


def name_of(anchors: Anchors) -> str:
    """What a rule is called as a set: the class `KCentre` is "k_centre"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(anchors).__name__).lower()
