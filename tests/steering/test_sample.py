"""Sampling lands where it must on a prior with a known answer, and guidance moves it where it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.anchors.modes import Modes
from gendistill.draft import Synthetic
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.schedule import SOLVERS, as_velocity
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Constant, OnMean, Power
from gendistill.steering.start import Start
from gendistill.toys import ToyPrior, toy_context, toy_draft
from gendistill.types import LATENT, Level, UserError


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, ipc=6)


def empty(context):
    return replace(toy_draft(context), latents={})


def spread(draft):
    """Distance of the mean latent to the class's centre, and deviation around it, for class 0."""
    mine = draft.latents[LATENT][draft.labels == 0]
    centre = draft.prior.centres[0]
    return float((mine.mean(0) - centre).abs().mean()), float((mine - centre).std())


@pytest.mark.parametrize("name", [name for name, encode in SOLVERS.items() if encode is not as_velocity])
def test_every_scheduler_lands_on_the_class(name, context):
    distance, deviation = spread(Sample(steps=20, cfg=1.0, scheduler=name)(empty(context), context))
    assert distance < 0.08, "the mean of the class is missed"
    assert 0.04 < deviation < 0.16, "the class has a deviation of 0.1"


@pytest.mark.parametrize("name", [name for name, encode in SOLVERS.items() if encode is not as_velocity])
def test_every_scheduler_goes_on_from_a_clean_start(name, context):
    start = Start(anchors=Modes())(empty(context), context)
    distance, _ = spread(Sample(steps=20, cfg=1.0, scheduler=name, strength=0.5)(start, context))
    assert distance < 0.08


def test_a_noisy_draft_comes_in_at_the_first_half_of_a_step(context):
    draft = toy_draft(context)
    noise, centres = draft.prior.noise(5, draft.ids)[LATENT], draft.prior.centres[draft.labels]

    def made(name, index):
        level = draft.prior.schedule.solver(name, 20).levels[index]
        begun = replace(draft, latents={LATENT: level.alpha * centres + level.sigma * noise}, level=level)
        return Sample(steps=20, cfg=1.0, scheduler=name)(begun, context)

    assert spread(made("HeunDiscrete", 16))[0] < 0.08, "the second half of the step before is at the same level"
    assert spread(made("KDPM2AncestralDiscrete", 15))[0] < 0.08, (
        "a midpoint, whose level is nearly that of the next step"
    )


def test_the_level_after_a_step_is_one_below(context):
    """Where a solver takes two steps at one level too: a scale that is told of it twice divides by nothing."""
    seen = []

    class Watch(Constant):
        def __call__(self, level, after):
            seen.append((float(level.alpha), float(after.alpha)))
            return 1.0

    for name in ("PNDM", "HeunDiscrete", "KDPM2AncestralDiscrete"):
        Sample(steps=20, scheduler=name, guides=(Guide(ModePull(weight=0.1), scale=Watch()),))(empty(context), context)
    asked = 21 + 39 + 39
    assert len(seen) == 2 * asked, "before the first step, all at once, and at every step"
    assert all(before < after for before, after in seen)


def test_strength_of_less_than_a_step_is_refused():
    with pytest.raises(UserError, match="strength"):
        Sample(steps=20, strength=0.01)


def test_more_strength_forgets_more_of_the_start(context):
    start = Start(anchors=Modes())(empty(context), context)
    far = [
        float(
            (Sample(steps=20, cfg=1.0, strength=s)(start, context).latents[LATENT] - start.latents[LATENT]).abs().mean()
        )
        for s in (0.2, 0.9)
    ]
    assert far[0] < far[1]


def test_cfg_moves_away_from_the_unconditional_mean(context):
    null = toy_draft(context).prior.centres.mean(0)
    far = [
        float((Sample(steps=20, cfg=cfg)(empty(context), context).latents[LATENT] - null).abs().mean())
        for cfg in (1.0, 3.0)
    ]
    assert far[1] > far[0] * 1.2


def test_cfg_one_asks_the_denoiser_once(context, monkeypatch):
    draft, seen = empty(context), []
    denoise = type(draft.prior).denoise
    monkeypatch.setattr(type(draft.prior), "denoise", lambda self, x, *a: seen.append(len(x)) or denoise(self, x, *a))
    Sample(steps=3, cfg=1.0)(draft, context)
    Sample(steps=3, cfg=2.0)(draft, context)
    assert seen == [4] * 9 + [8] * 9, "three blocks of four, and of both halves"


@pytest.mark.parametrize("scale", [Constant(), Power(), OnMean()], ids=lambda scale: type(scale).__name__)
def test_guidance_lowers_the_objective_it_follows(scale, context):
    pull = ModePull(weight=0.2 if scale != Power() else 1.0)
    loss = pull.bind(context)
    sums = {}
    for name, guides in (("with", (Guide(pull, scale=scale, window=(0.1, 1.0)),)), ("without", ())):
        draft = Sample(steps=20, cfg=1.0, guides=guides)(empty(context), context)
        sums[name] = float(loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)).sum())
    assert sums["with"] < 0.9 * sums["without"]


def test_guidance_through_the_denoiser_moves_the_sample_too(context):
    pull = Guide(ModePull(weight=0.5), gradient="denoiser")
    plain, guided = (
        Sample(steps=8, cfg=1.0, guides=guides)(empty(context), context).latents[LATENT] for guides in ((), (pull,))
    )
    assert not torch.allclose(plain, guided)


def test_outside_its_window_a_guide_does_nothing(context):
    seen = []

    class Watch(Constant):
        def __call__(self, level, after):
            seen.append(float(level.time))
            return 1.0

    guide = Guide(ModePull(weight=0.1), window=(0.3, 0.7), scale=Watch())
    Sample(steps=5, guides=(guide,))(empty(context), context)
    assert set(seen) == {0.6, 0.4}, "of 0.8, 0.6, 0.4, 0.2 and 0"


def test_settings_that_nothing_would_come_of_are_refused_before_anything_is_made(context, monkeypatch):
    monkeypatch.setattr(ToyPrior, "denoise", lambda *given: pytest.fail("a step was taken"))
    pull = ModePull(weight=0.5)
    for sample, says in (
        (Sample(steps=5, guides=(Guide(pull, window=(0.51, 0.55)),)), "never act: .* holds none of the 5 steps"),
        (Sample(steps=5, strength=0.4), "asks for a clean start"),
        (Sample(steps=5, keep_start=0.5), "asks for a clean start"),
        (Sample(steps=5, scheduler="DDPM", eta=0.7), "DDPM adds its own noise"),
    ):
        for asked in (sample.fits, lambda *given, one=sample: list(one.work(*given)), sample):
            with pytest.raises(UserError, match=says):
                asked(empty(context), context)


def test_on_mean_is_the_published_step_of_mgd3():
    """Mu + lam * sigma * (mode - clean) equals a DDPM mean whose clean estimate moved by lam * factor * (mode - clean)."""
    level, after = Level(0.6, 0.8, 0.5), Level(0.7, (1 - 0.49) ** 0.5, 0.4)
    abar, before = 0.36, 0.49
    beta = 1 - abar / before
    a = before**0.5 * beta / (1 - abar)
    sigma = (beta * (1 - before) / (1 - abar)) ** 0.5
    assert OnMean()(level, after) * a == pytest.approx(sigma)


def test_power_is_the_published_ddim_form_of_mgd3():
    """Noise - lam sqrt(1 - abar) (mode - clean) implies clean + lam sigma^2 / alpha (mode - clean)."""
    level = Level(0.6, 0.8, 0.5)
    assert Power()(level, level) == pytest.approx(0.8 * 0.8 / 0.6)


def test_oversampling_numbers_candidates_and_keeps_slots(context):
    draft = Sample(steps=2, oversample=3)(empty(context), context)
    assert len(draft) == 36
    assert draft.ids[:3].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]


def test_a_picture_does_not_depend_on_its_batch_mates(context):
    whole = Sample(steps=6, scheduler="DDPM")(empty(context), context)
    part = Sample(steps=6, scheduler="DDPM")(empty(context)[torch.tensor([4, 1])], context)
    torch.testing.assert_close(part.latents[LATENT], whole.latents[LATENT][[4, 1]], atol=1e-5, rtol=0)


def test_what_cannot_be_stepped_is_refused_before_a_guide_is_bound(context, monkeypatch):
    monkeypatch.setattr(ModePull, "bind", None)
    for name, steps in (
        ("LCM", 60),
        ("KDPM2AncestralDiscrete", 6),
    ):  # of a cosine schedule, its first sigma is too large
        sample = Sample(steps=steps, scheduler=name, guides=(Guide(ModePull(weight=0.1)),))
        for asked in (
            lambda one=sample: one(empty(context), context),
            lambda one=sample: list(one.work(empty(context), context)),
        ):
            with pytest.raises(UserError, match=f"{name} does not take steps={steps}"):
                asked()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scheduler": "DDIN"}, {"steps": 0}, {"strength": 1.5}, {"oversample": 0}, {"cfg": float("nan")}, {"cfg": 1000.0},
        {"eta": -1.0}, {"eta": float("nan")}, {"keep_start": float("nan")},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_at_construction(wrong):
    with pytest.raises(UserError):
        Sample(**wrong)


def test_a_wrong_scheduler_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="DDIM"):
        Sample(scheduler="DDIMM")


def test_the_order_of_guides_does_not_matter(context):
    pulls = (Guide(ModePull(weight=0.3)), Guide(ModePull(Modes(count=1), weight=0.5)))
    one, other = (Sample(steps=4, cfg=1.0, guides=guides)(empty(context), context) for guides in (pulls, pulls[::-1]))
    torch.testing.assert_close(one.latents[LATENT], other.latents[LATENT])
