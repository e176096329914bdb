"""Rounds: later slots may look at what earlier ones became; steps that change the prior do so for all that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.pixels import LoadedPixels
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.running.execute import finished
from gendistill.running.stages import stages
from gendistill.steering.as_pixels import AsPixels
from gendistill.steering.base import Steering
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, ToyPrior, toy_context, toy_draft
from gendistill.types import LATENT, Diverged, UserError

PLAIN = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=4),), ipc=5, block=2)


def stored(made):
    return made.images.stored(range(len(made.images)))


@dataclass(frozen=True)
class Watch(Steering):
    """Tells what was finished before."""

    scope = "class"
    seen = []

    def __call__(self, draft, context):
        made = context.made
        self.seen.append((tuple(draft.ids[:, 1].tolist()), None if made is None else len(made)))
        return draft

    def work(self, draft, context):
        return ()


@dataclass(frozen=True)
class Shifted(Steering):
    """Another prior: the centres of the toy's classes move."""

    begins = True
    shapes = False
    calls = []

    def tune(self, context):
        self.calls.append(context.classes)
        prior = ToyPrior(len(context.real.classes), context.real.train.shape[-1])
        prior.centres = context.prior.centres + 0.1
        return prior

    def __call__(self, draft, context):
        return replace(draft, prior=context.prior)

    def work(self, draft, context):
        return ()


def test_a_round_sees_what_the_rounds_before_it_made(tmp_path):
    Watch.seen.clear()
    made = distill(replace(PLAIN, rounds=2, steering=(*PLAIN.steering, Watch())), tmp_path / "out")
    assert Watch.seen == [((0, 1), None)] * 3 + [((2, 3, 4), 6)] * 3
    assert made.ids[:, :2].tolist() == [[c, s] for c in range(3) for s in range(5)], "class by class, slot by slot"


def test_rounds_alone_change_no_picture(tmp_path):
    one, two = (distill(replace(PLAIN, rounds=rounds), tmp_path / str(rounds)) for rounds in (1, 2))
    torch.testing.assert_close(stored(one), stored(two), atol=1, rtol=0)


def test_every_round_writes_its_own_shards(tmp_path):
    recipe = replace(PLAIN, rounds=2)
    distill(recipe, tmp_path / "out")
    context = toy_context(tmp_path / "cache", classes=(), data=ToyData())
    first = finished(recipe, context, tmp_path / "out", before=1)
    assert first is not None and sorted(set(first.ids[:, 1].tolist())) == [0, 1]
    assert finished(recipe, context, tmp_path / "out", before=0) is None
    assert [stage.round for stage in stages(recipe)] == [0, 1]


def test_more_rounds_than_slots_are_refused():
    with pytest.raises(UserError, match="rounds=6"):
        replace(PLAIN, rounds=6)


def test_a_step_that_changes_the_prior_does_so_once_for_all_stages(tmp_path):
    Shifted.calls.clear()
    steering = (Shifted(), Sample(steps=4, cfg=1.0), Watch(), Sample(steps=4, cfg=1.0, strength=0.5))
    made = distill(replace(PLAIN, steering=steering), tmp_path / "out")
    assert set(Shifted.calls) == {(0, 1, 2)} and len(Shifted.calls) <= 3, "once a stage, not once a unit"
    plain = distill(replace(PLAIN, steering=steering[1:]), tmp_path / "plain")
    assert stored(made).float().mean() > stored(plain).float().mean() + 10


def test_a_recipe_that_only_changes_the_prior_is_refused():
    with pytest.raises(UserError, match="makes no picture"):
        replace(PLAIN, steering=(Shifted(),))


def test_as_pixels_makes_latents_of_pixels_for_what_follows(tmp_path):
    context, draft = toy_context(tmp_path), toy_draft(toy_context(tmp_path))
    step = AsPixels()
    inner = replace(context, prior=step.tune(context))
    made = step(draft, inner)
    assert isinstance(made.prior, LoadedPixels)
    torch.testing.assert_close(made.latents[LATENT], draft.prior.decode(draft.latents).clamp(0, 1))
    steering = (*PLAIN.steering, AsPixels(), Optimize((ModePull(),), steps=3))
    assert distill(replace(PLAIN, steering=steering), tmp_path / "out").images.shape == (1, 8, 8)
    with pytest.raises(UserError, match="LoadedPixels does not"):
        replace(PLAIN, steering=(*steering, Sample(strength=0.5)))


def test_pictures_of_one_value_are_no_pictures(tmp_path):
    @dataclass(frozen=True)
    class Blank(Watch):
        """Nothing is left of the pictures."""

        def __call__(self, draft, context):
            return replace(draft, latents={LATENT: torch.full_like(draft.latents[LATENT], 0.5)})

    with pytest.raises(Diverged, match="2 of 2 pictures of class class 0 are of one value"):
        distill(replace(PLAIN, ipc=2, steering=(*PLAIN.steering, Blank())), tmp_path / "out")
