"""Whatever computes does so where it is told to: on a device whose tensors refuse to meet those of the CPU."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import pytest
import torch

from gendistill.context import silent
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.protocols import SCREENING
from gendistill.labelers.base import Labeler
from gendistill.objectives.base import Objective
from gendistill.objectives.learnability import Learnability
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, ToyGan
from tests.another_device import another_device
from tests.parts_under_test import example, shrink, subclasses
from tests.priors.test_latent_diffusion import pipeline
from tests.test_pipelines import NAMES, tiny


def prior():
    """A real one: the toy prior lives on the CPU alone."""
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type="sample")
    return LatentDiffusion(pipeline(names=[f"class {index}" for index in range(3)], scheduler=scheduler))


def recipe(**changes):
    return replace(
        Recipe(real=ToyData(), prior=prior(), steering=(Sample(steps=2),), ipc=2, block=2),
        **changes,
    )


# Torch takes the other device's name for one whose tensors hold no numbers.
pytestmark = pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")


@pytest.fixture
def device():
    with another_device() as device:
        yield device


@pytest.mark.parametrize("meet", [torch.add, torch.mul, lambda a, b: torch.cat([a, b]), lambda a, b: b[a.long()]])
def test_two_devices_do_not_meet(device, meet):
    with pytest.raises(RuntimeError, match="two devices"):
        meet(torch.zeros(2, device=device), torch.zeros(2))


def test_streams_of_the_cpu_draw_nothing_elsewhere(device):
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(2, generator=torch.Generator(), device=device)


@pytest.mark.usefixtures("guessing")
@pytest.mark.parametrize("name", NAMES)
def test_pipelines(name, device, tmp_path):
    small = tiny(name)
    if isinstance(small.prior, ToyGan):
        pytest.skip("the toy generator lives on the CPU alone")
    made = distill(
        replace(small, prior=prior()) if isinstance(small.prior, Toy) else small, tmp_path / "x", device=device
    )
    assert made.images.stored(range(6)).device.type == "cpu"


@pytest.mark.usefixtures("guessing")
@pytest.mark.parametrize("objective", subclasses(Objective))
def test_objectives(objective, device, tmp_path):
    steps = (Sample(steps=2), Optimize((example(objective),), steps=2, lr=0.01))
    rounds = 2 if objective is Learnability else 1  # it learns from what was made before
    distill(recipe(steering=steps, rounds=rounds), tmp_path / "x", device=device)


@pytest.mark.parametrize("labeler", subclasses(Labeler))
def test_labelers_and_students(labeler, device):
    labelled = recipe(labeler=example(labeler))
    context = open_context(labelled, device, torch.float32, silent)
    report = measure({"distilled": [distill(labelled, context=context)]}, shrink(SCREENING), context, fidelity=True)
    assert report.rows
