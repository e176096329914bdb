"""Inversion carries a class to its noisy statistics, and sets are compared by their moments."""

from __future__ import annotations

import logging

import diffusers
import pytest
import scipy.stats
import torch

from gendistill.anchors.inverted import Inverted, carried
from gendistill.anchors.modes import Modes
from gendistill.anchors.moments import distance, of_sets, of_subsets
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.toys import ToyData, toy_context, toy_draft
from gendistill.types import LATENT, Conditions, Level, UserError


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, classes=(0,), ipc=5, data=ToyData(per_class=200))


def test_moments_are_those_of_every_dimension_over_the_set():
    sets = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)).double()
    found = of_sets(sets)
    torch.testing.assert_close(found.mean, sets.mean(1))
    torch.testing.assert_close(found.std, sets.std(1))
    expected = torch.from_numpy(scipy.stats.skew(sets.numpy(), axis=1, bias=False))
    torch.testing.assert_close(found.skewness, expected)


def test_moments_of_subsets_are_moments_of_what_they_gather():
    points = torch.randn(9, 4, generator=torch.Generator().manual_seed(1)).double()
    subsets = torch.tensor([[0, 3, 4, 8], [7, 2, 1, 5]])
    for found, expected in zip(of_subsets(points, subsets), of_sets(points[subsets]), strict=True):
        torch.testing.assert_close(found, expected)


def test_one_picture_has_a_mean_and_nothing_else():
    found = of_sets(torch.tensor([[[2.0, 3.0]]]))
    assert [moment.tolist() for moment in found] == [[[2, 3]], [[0, 0]], [[0, 0]]]


def test_the_score_weighs_three_distances():
    some, other = of_sets(torch.tensor([[0.0], [2.0]])), of_sets(torch.tensor([[3.0], [7.0]]))
    assert float(distance(some, other, (1, 0, 0))) == pytest.approx(4)
    assert float(distance(some, other, (0, 1, 0))) == pytest.approx(2**0.5)
    assert float(distance(some, other, (10, 100, 1))) == pytest.approx(40 + 100 * 2**0.5)


def test_a_step_is_that_of_the_inverse_ddim_scheduler_of_diffusers(context):
    inverse = diffusers.DDIMInverseScheduler(
        beta_schedule="squaredcos_cap_v2", clip_sample=False, set_alpha_to_one=False, prediction_type="epsilon"
    )
    inverse.set_timesteps(50)
    anchors, prior = Inverted(cfg=1.0), context.prior
    grid, x = anchors._grid(context), context.latents(0)[:3]
    asked, expected, now, found = prior.condition(torch.zeros(3, dtype=torch.long)), x, prior.schedule.level(0), x
    for level, t in zip(grid, inverse.timesteps, strict=False):
        noise = (expected - level.alpha * prior.denoise(expected, level, asked).clean) / level.sigma
        expected = inverse.step(noise, t, expected).prev_sample
        found, now = anchors._step(context, 0, found, now, level), level
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert float(grid[-1].time) == pytest.approx(0.62)


def test_a_step_is_guided_as_the_sampler_is(context):
    prior, x = context.prior, context.latents(0)[:3]
    now, level = prior.schedule.level(100), prior.schedule.level(200)
    asked = prior.condition(torch.zeros(3, dtype=torch.long))
    null = prior.denoise(x, level, Conditions(asked.null, asked.null)).clean
    clean = null + 3.0 * (prior.denoise(x, level, asked).clean - null)
    found = Inverted(cfg=3.0)._step(context, 0, x, now, level)
    torch.testing.assert_close(found, carried(x, clean, now, level, flow=False))
    assert not torch.allclose(found, Inverted(cfg=1.0)._step(context, 0, x, now, level))


def test_a_flow_is_followed_along_its_velocity():
    x, clean, now, level = torch.tensor([2.0]), torch.tensor([1.0]), Level(0.9, 0.1, 0.1), Level(0.8, 0.2, 0.2)
    assert carried(x, clean, now, level, flow=True).item() == pytest.approx(2 + 0.1 * (2 - 1) / 0.2)


def test_a_normal_class_keeps_the_statistics_it_has_at_the_level(context):
    """The latents of the toy prior's class are normal, so they stay normal on the way: alpha mu and alpha^2 s^2 + sigma^2."""
    anchors, prior = Inverted(steps=200, cfg=1.0), context.prior
    level, found = anchors.level(context), anchors._measure(context, 0)
    deviation = (level.alpha**2 * prior.deviation**2 + level.sigma**2) ** 0.5
    assert float((found["mean"] - level.alpha * prior.centres[0]).abs().mean()) < 0.1 * deviation
    assert float(found["std"].mean()) == pytest.approx(deviation, rel=0.05)
    assert found["mean"].dtype == torch.float64


def test_the_chosen_set_has_the_best_score_of_all(context):
    anchors = Inverted(candidates=40)
    statistics = anchors._measure(context, 0)
    scores = anchors._scores(context, 0, statistics, range(40))
    best = int(scores.argmin())
    assert float(scores[best]) < 0.9 * float(scores.mean())
    expected = statistics["mean"] + statistics["std"] * anchors._draw(context, 0, best)
    torch.testing.assert_close(anchors.find(context, 0, torch.arange(5)), expected.float())


def test_chunks_choose_the_same_set(context, monkeypatch):
    whole = Inverted(candidates=30).find(context, 0, torch.arange(5))
    monkeypatch.setattr("gendistill.anchors.inverted.TOGETHER", 5 * 16 * 7)
    context.store.path("inverted set", {}).parent.rename(context.store.root / "gone")
    assert torch.equal(Inverted(candidates=30).find(context, 0, torch.arange(5)), whole)


def test_another_set_uses_what_was_measured_of_the_class(context, monkeypatch):
    Inverted(candidates=3).find(context, 0, torch.arange(2))
    monkeypatch.setattr(Inverted, "_measure", lambda *a: pytest.fail("the class was inverted again"))
    Inverted(candidates=4, skewness=0.1).find(context, 0, torch.arange(2))


def test_a_sampler_goes_on_from_the_level_to_the_class(context):
    draft = toy_draft(context)
    start = Start(anchors=Inverted(candidates=50, cfg=1.0))(draft, context)
    made = Sample(steps=50, cfg=1.0, scheduler="DDIM")(start, context).latents[LATENT]
    assert float((made.mean(0) - context.prior.centres[0]).abs().mean()) < 0.05
    assert 0.06 < float((made - context.prior.centres[0]).std()) < 0.14


def test_a_sampler_that_does_not_pass_the_level_says_so(context):
    start = Start(Inverted(steps=50, to=0.62))(toy_draft(context), context)
    with pytest.raises(UserError, match=r"time 0\.6\d+, and 7 steps of DDIM pass"):
        Sample(steps=7, cfg=1.0, scheduler="DDIM")(start, context)


def test_some_pictures_stand_for_the_class(context):
    some, all_of_them = Inverted(pictures=20), Inverted()
    found = [anchors._measure(context, 0) for anchors in (some, some, all_of_them)]
    assert torch.equal(found[0]["mean"], found[1]["mean"]) and not torch.equal(found[0]["mean"], found[2]["mean"])
    # the mean of 20 is off that of 200 by about the deviation over the root of 20
    assert ((found[0]["mean"] - found[2]["mean"]).abs() < found[2]["std"]).all()


def test_levels_outside_the_path_are_refused():
    with pytest.raises(UserError, match="to < 1"):
        Inverted(to=1.0)


def test_a_slot_has_one_candidate_where_it_begins_at_a_noisy_point(context):
    sample = Sample(steps=50, cfg=1.0, scheduler="DDIM", oversample=2)
    for noisy in (Start(Inverted(candidates=2)), Start()):
        with pytest.raises(UserError, match="2 candidates .* oversample=1"):
            sample(noisy(toy_draft(context), context), context)
    made = sample(Start(Modes())(toy_draft(context), context), context).latents[LATENT]
    assert not torch.equal(made[0], made[1]), "from a clean one each has noise of its own"


def test_a_class_of_one_picture_says_that_its_slots_begin_at_one_point(tmp_path, caplog):
    context = toy_context(tmp_path, classes=(0,), ipc=3, data=ToyData(per_class=1))
    with caplog.at_level(logging.WARNING, "gendistill"):
        points = [Inverted(candidates=2).find(context, 0, torch.arange(3)) for _ in "ab"]
    assert torch.equal(points[0], points[0][:1].expand_as(points[0])) and torch.equal(*points)
    assert ["one real picture" in record.message for record in caplog.records] == [True], "it is said once"
