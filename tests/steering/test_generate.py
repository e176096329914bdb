"""Generators as drafts: from noise to any space, on to later ones, and every part of the latents by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.capabilities import Generates, LoadedPrior
from gendistill.draft import Synthetic
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.protocols import Protocol
from gendistill.experiments.plan import plan
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.determinant import Determinant
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.as_pixels import AsPixels
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.steering.push import Push
from gendistill.steering.select import Select
from gendistill.steering.start import Start
from gendistill.toys import Toy, ToyData, ToyGan, ToyGenerator, toy_context, toy_draft
from gendistill.types import LATENT, UserError
from tests.parts_under_test import TEACHER

SEEN = MeanFeatures(Fresh(ConvNet(depth=2, width=8)), augment=None)


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, prior=ToyGan())


def empty(context):
    return replace(toy_draft(context), latents={})


def test_the_toy_is_a_generator():
    assert issubclass(ToyGan.loads, Generates) and isinstance(ToyGenerator(2), LoadedPrior)


def test_draws_are_of_the_class_wherever_they_are_held(context):
    draft = empty(context)
    pixels = [context.prior.decode(Generate(space)(draft, context).latents) for space in (None, "z", "w+", "f16")]
    for other in pixels[1:]:
        torch.testing.assert_close(other, pixels[0])
    far = pixels[0] - context.prior.decode(
        {"f16": context.prior.toy.centres[draft.labels], "w+": torch.zeros(4, 1, 1, 4, 4)}
    )
    assert 0.05 < far.std() < 0.2, "the toy's pictures lie around their class's centre with deviation 0.1"


def test_pushing_in_steps_is_pushing_at_once(context):
    draft = Generate()(empty(context), context)
    far = Push()(Push("w+")(draft, context), context)
    assert set(far.latents) == {"f16", "w+"}
    torch.testing.assert_close(far.latents, Generate("f16")(empty(context), context).latents)
    with pytest.raises(UserError, match="'f8' is no space of this generator; there are z, w\\+, f16"):
        Push("f8")(draft, context)
    with pytest.raises(UserError, match="one way"):
        Push("z")(far, context)


def test_start_from_noise_asks_a_generator_for_the_class(context):
    draft = empty(context)
    torch.testing.assert_close(Start()(draft, context).latents, Generate()(draft, context).latents)


def test_candidates_are_drawn_and_selected(context):
    recipe = Recipe(
        real=ToyData(),
        prior=ToyGan(),
        ipc=2,
        steering=(Generate("f16", oversample=3), Select((CrossEntropy((TEACHER,)),))),
    )
    assert len(Generate(oversample=3)(empty(context), context)) == 12
    assert len(distill(recipe, context.store.root / "set").images) == 6


@pytest.mark.parametrize(
    ("variables", "moves"),
    [
        (("latent",), {"f16", "w+"}),
        (("latent/f16",), {"f16"}),
        (("latent/w+",), {"w+"}),
        (("latent", "latent/z"), {"f16", "w+"}),
    ],
)
def test_one_part_of_the_latents_moves_by_name(context, variables, moves):
    draft = Generate("f16")(empty(context), context)
    moved = Optimize((SEEN,), steps=3, lr=0.1, variables=variables)(draft, context)
    assert {name for name in draft.latents if not torch.equal(draft.latents[name], moved.latents[name])} == moves


def test_parts_have_rates_of_their_own(context):
    draft = Generate("f16")(empty(context), context)
    step = Optimize((SEEN,), steps=1, variables=("latent/f16", "latent/w+"), lr=(0.1, 0.001))
    moved = step(draft, context)
    for name, rate in (("f16", 0.1), ("w+", 0.001)):  # the first step of Adam is as long as its rate
        assert (moved.latents[name] - draft.latents[name]).abs().max() == pytest.approx(rate, rel=1e-2)
    beside = replace(step, variables=("latent", "latent/w+"))(draft, context)
    torch.testing.assert_close(beside.latents, moved.latents)


def test_a_part_that_is_not_there_is_named(context):
    draft = Generate("w+")(empty(context), context)
    with pytest.raises(UserError, match=r"no latent 'f16' here; there are w\+"):
        Optimize((SEEN,), steps=1, variables=("latent/f16",))(draft, context)


def test_a_limit_bounds_what_moves_and_nothing_else(context):
    draft = Generate("f16")(empty(context), context)
    moved = Optimize((SEEN,), steps=5, lr=0.5, variables=("latent/f16",), limit=0.25)(draft, context)
    assert moved.latents["f16"].abs().max() == 0.25
    assert torch.equal(moved.latents["w+"], draft.latents["w+"])


def test_what_looks_at_one_latent_says_so(context):
    draft = toy_draft(context)
    with pytest.raises(UserError, match="latent of a diffusion prior, and these pictures are made of z, class"):
        _ = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels).clean
    for objective in (ModePull(), Determinant()):
        with pytest.raises(UserError, match="Optimize needs a prior that encodes; ToyGan does not"):
            Recipe(real=ToyData(), prior=ToyGan(), steering=(Generate(), Optimize((objective,))))
    with pytest.raises(UserError, match="Generate needs a prior that generates; Toy does not"):
        Recipe(real=ToyData(), prior=Toy(), steering=(Generate(),))


def test_after_a_generator_pixels_are_shaped(context):
    recipe = Recipe(
        real=ToyData(), prior=ToyGan(), ipc=2, steering=(Generate("w+"), AsPixels(), Optimize((SEEN,), steps=2))
    )
    assert len(distill(recipe, context.store.root / "set").images) == 6
    draft = AsPixels().imagined(
        Generate("w+")(empty(context), context), replace(context, prior=AsPixels().tune(context))
    )
    assert draft.latents[LATENT].shape == (4, 1, 8, 8)


def test_the_unsteered_set_is_the_generator_as_it_is():
    recipe = Recipe(real=ToyData(), prior=ToyGan(), steering=(Generate("f16"), Optimize((SEEN,))))
    assert baselines(recipe)["unsteered"].steering == (Generate(),)


def test_a_plan_knows_the_space(monkeypatch):
    monkeypatch.setattr("gendistill.experiments.plan.TRIAL_S", 0.0)
    protocol = Protocol(
        name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=2, batch=4), students=1
    )
    steps = (Generate("w+", oversample=2), Select((CrossEntropy((TEACHER,)),)), Push("f16"))
    step = Optimize((SEEN,), steps=9, variables=("latent/f16",))
    told = plan(Recipe(real=ToyData(), prior=ToyGan(), steering=(*steps, step), ipc=10), protocol)
    lines = {line.what: line for line in told.lines if line.part == "distil"}
    assert (lines["generate"].rows, lines["push"].rows) == (20, 10)
    assert (lines["optimize"].rows, lines["optimize"].calls) == (10, 3 * 9)
