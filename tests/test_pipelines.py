"""Every pipeline of the folder, made tiny: it says what it is, runs end to end, twice the same, and like no other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch

from gendistill.capabilities import Generates, Prompted
from gendistill.config.pipeline import find_pipeline, list_pipelines
from gendistill.priors.base import lacks
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.pixels import Pixels
from gendistill.running import execute
from gendistill.running.distill import distill
from gendistill.steering.render import render
from gendistill.toys import Toy, ToyData, ToyGan
from tests.parts_under_test import shrink
from tests.priors.test_latent_diffusion import pipeline

NAMES = [listed.name for listed in list_pipelines()]
CANDIDATES = sorted(Path(__file__).parent.parent.glob("benchmarks/candidates/*.py"))


def tiny(name):
    """The recipe at two pictures a class of toy data, with the toy prior; with a small real one where it is to be tuned.

    No prior here is asked in words: what writes prompts is left out.
    """
    recipe = shrink(find_pipeline(name).recipe)
    recipe = replace(recipe, steering=tuple(step for step in recipe.steering if Prompted not in step.needs))
    prior = recipe.prior if isinstance(recipe.prior, Pixels) else Toy()
    if any(Generates in step.needs for step in recipe.steering):
        prior = ToyGan()
    elif any(lacks(Toy.loads, step.needs) for step in recipe.steering) and not isinstance(prior, Pixels):
        scheduler = diffusers.DDIMScheduler(
            clip_sample=False, prediction_type="sample"
        )  # so random weights stay bounded
        prior = LatentDiffusion(pipeline(names=[f"class {index}" for index in range(3)], scheduler=scheduler))
    return replace(recipe, real=ToyData(), prior=prior, ipc=2, block=2, rounds=min(recipe.rounds, 2))


def pictures(name, folder):
    made = distill(tiny(name), folder)
    return made.images.stored(range(len(made.images)))


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name):
    doc = find_pipeline(name).doc
    assert (
        re.search(r"^Paper ", doc, re.M) and re.search(r"^Measured ", doc, re.M) and re.search(r"^Differs ", doc, re.M)
    )
    assert f"gendistill run {name}" in doc
    assert find_pipeline(name).recipe.source.startswith("https://") or name in ("demo", "house", "guided")


@pytest.mark.usefixtures("guessing")
@pytest.mark.parametrize("name", NAMES)
def test_runs_and_repeats(name, tmp_path):
    first, second = pictures(name, tmp_path / "a"), pictures(name, tmp_path / "b")
    assert first.shape == (6, 1, 8, 8)
    assert torch.equal(first, second)


def test_candidates_are_recipes_of_their_own():
    """They are made of the pages as these are now, by changes that may come to change nothing."""
    said = [repr(find_pipeline(name).recipe.steering) for name in ("house", "guided", "d4m", *map(str, CANDIDATES))]
    assert len(said) > 3
    assert len(set(said)) == len(said)


@pytest.mark.usefixtures("guessing")
def test_no_two_make_identical_pictures(tmp_path, monkeypatch):
    """Compared before they become bytes, which hide what a gentle method does to pictures as small as these."""
    made, rendered = {}, []

    def recorded(draft, chunk, names):
        rendered.append(draft.prior.decode(draft.latents))
        return render(draft, chunk, None)

    monkeypatch.setattr(execute, "render", recorded)
    for name in NAMES:
        distill(tiny(name), tmp_path / name)
        made[name] = torch.cat(rendered)
        rendered.clear()
    same = [
        (a, b)
        for a in NAMES
        for b in NAMES
        if a < b and made[a].shape == made[b].shape and torch.allclose(made[a], made[b], rtol=0, atol=1e-6)
    ]
    assert not same
