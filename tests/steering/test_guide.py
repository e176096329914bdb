"""Guidance: where the gradient is taken, how long it is, what it moves, and what is noticed when it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import diffusers
import pytest
import torch

from gendistill.images import Subset
from gendistill.objectives.base import Objective
from gendistill.objectives.mode_pull import ModePull
from gendistill.steering.guide import Guide, Moment, bind, displaced, gradient
from gendistill.steering.latent_range import size_and_spread
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Constant, OnMean, OnStep, Power
from gendistill.toys import ToyData, ToyPrior, toy_context, toy_draft
from gendistill.types import CLEAN, LATENT, Diverged, Estimate, Level, UserError

LEVEL, AFTER = Level(0.6, 0.8, 0.5), Level(0.7, (1 - 0.49) ** 0.5, 0.4)


@dataclass(frozen=True)
class Probe(Objective):
    """A loss of what is asked for: the noisy latent, the clean one, or the pictures made before."""

    look: str = "clean"
    weight: float = 1.0

    def bind(self, context):
        def loss(synthetic):
            if self.look == "made":
                return torch.zeros(len(synthetic.labels)) if synthetic.made is None else pulled(synthetic)
            return 0.5 * getattr(synthetic, self.look).square().flatten(1).sum(1)

        def pulled(synthetic):
            first = synthetic.made.latents[LATENT][:1]
            return 0.5 * (synthetic.clean - first).square().flatten(1).sum(1)

        return loss


@pytest.fixture
def context(tmp_path):
    return replace(toy_context(tmp_path, ipc=4), made=None)


def empty(context):
    return replace(toy_draft(context), latents={})


def at(context, x):
    draft = toy_draft(context)
    return Moment(draft, x, draft.prior.condition(draft.labels), LEVEL, AFTER, 3, None, 8)


def test_the_gradient_at_the_noisy_latent_is_that_of_what_the_objective_sees_there(context):
    x = toy_draft(context).latents[LATENT]
    (item,) = bind([Guide(Probe("x"), gradient="noisy")], context)
    torch.testing.assert_close(gradient(item, Estimate(x * 0), x * 0, at(context, x)), x)


def test_through_the_denoiser_the_chain_rule_holds(context):
    x = toy_draft(context).latents[LATENT].clone().requires_grad_()
    now = at(context, x)
    estimate = now.draft.prior.denoise(x, LEVEL, now.conditions)
    (item,) = bind([Guide(Probe("clean"), gradient="denoiser")], context)
    variance = now.draft.prior.deviation**2
    slope = variance * 0.6 / (0.36 * variance + 0.64)
    torch.testing.assert_close(gradient(item, estimate, estimate.clean.detach(), now), slope * estimate.clean.detach())


def test_an_objective_that_does_not_look_there_is_named(context):
    x = toy_draft(context).latents[LATENT]
    (item,) = bind([Guide(Probe("clean"), gradient="noisy")], context)
    with pytest.raises(UserError, match="Probe does not look at the noisy latent"):
        gradient(item, Estimate(x), x, at(context, x))


def test_a_matched_gradient_is_as_long_as_the_noise_of_its_picture(context):
    x = toy_draft(context).latents[LATENT]
    clean = 0.3 * x
    (item,) = bind([Guide(Probe("clean", weight=7.0), matched=True)], context)
    found = gradient(item, Estimate(clean), clean, at(context, x))
    noise = (x - 0.6 * clean) / 0.8
    torch.testing.assert_close(found.flatten(1).norm(dim=1), noise.flatten(1).norm(dim=1))


def test_no_gradient_stays_none_when_matched(context):
    x = toy_draft(context).latents[LATENT]
    (item,) = bind([Guide(Probe("clean"), matched=True)], context)
    assert not gradient(item, Estimate(0 * x), 0 * x, at(context, x)).any()


def test_before_cfg_the_pull_is_multiplied_by_cfg(context):
    one = Sample(steps=1, cfg=3.0, scheduler="DDIM")  # a step that ends at the clean estimate

    def estimate(step):
        return step(empty(context), context).latents[LATENT]

    plain, asked = estimate(one), estimate(replace(one, cfg=1.0))
    before, after = (
        estimate(replace(one, guides=(Guide(Probe("clean", weight=0.1), before_cfg=early),))) for early in (True, False)
    )
    torch.testing.assert_close(before - plain, -3.0 * 0.1 * asked)
    torch.testing.assert_close(after - plain, -0.1 * plain)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_gradient_through_the_denoiser_passes_what_acts_before_cfg(cfg, context):
    through, faint = (
        Guide(Probe("clean", weight=0.3), gradient="denoiser"),
        Guide(Probe("clean", weight=1e-9), before_cfg=True),
    )
    plain, alone, both = (
        Sample(steps=4, cfg=cfg, guides=guides)(empty(context), context).latents[LATENT]
        for guides in ((), (through,), (through, faint))
    )
    torch.testing.assert_close(both, alone)
    assert float((alone - plain).abs().max()) > 1e-3


def test_scales_are_the_published_insertion_points():
    abar, before = 0.36, 0.49
    beta = 1 - abar / before
    a = before**0.5 * beta / (1 - abar)
    assert OnStep()(LEVEL, AFTER) * a == pytest.approx(1.0), "DAP: the gradient itself, off the latent after the step"
    assert OnStep(sigma=1)(LEVEL, AFTER) * a == pytest.approx(0.8), "IGD: sqrt(1 - abar) times a matched gradient"
    assert Power(2, -2)(LEVEL, AFTER) == pytest.approx(0.64 / 0.36), (
        "UAG: noise - sigma grad_z, grad_z = grad_clean / alpha"
    )
    assert Power(1, -1)(LEVEL, AFTER) == pytest.approx(0.8 / 0.6), "CoDA: the pull itself, off the predicted noise"
    assert Constant()(LEVEL, AFTER) == 1.0 and OnMean()(LEVEL, CLEAN) == pytest.approx(0.0)


def test_scales_of_ddpm_mean_the_same_on_a_flow():
    """A flow's level is one of variance preserving diffusion but for the length of the latent."""
    for scale in (OnStep(), OnStep(sigma=1), OnMean()):
        on_flow = scale(
            *(Level(level.alpha * size, level.sigma * size, 0.5) for level, size in ((LEVEL, 0.7), (AFTER, 0.8)))
        )
        assert on_flow == pytest.approx(scale(LEVEL, AFTER))


def test_pictures_made_before_are_seen_one_by_one(context):
    guides = (Guide(Probe("made", weight=0.9), window=(0.0, 0.6)),)
    free = Sample(steps=10, cfg=1.0)(empty(context), context).latents[LATENT]
    step = Sample(steps=10, cfg=1.0, guides=guides, at_once=1)
    assert step.scope == "class"
    made = step(empty(context), context)
    assert made.ids.tolist() == empty(context).ids.tolist(), "the order of the draft is kept"
    pulled = made.latents[LATENT]
    torch.testing.assert_close(pulled[[0, 4]], free[[0, 4]], atol=1e-5, rtol=0)
    assert (pulled[1:4] - pulled[:1]).abs().mean() < 0.7 * (free[1:4] - free[:1]).abs().mean()


def test_pictures_of_earlier_rounds_are_seen_as_made(context):
    step = Sample(steps=10, cfg=1.0, guides=(Guide(Probe("made", weight=0.9), window=(0.0, 0.6)),), at_once=1)
    alone, plain = empty(context)[:1], replace(step, guides=())
    later = replace(context, made=Subset(context.real.train, torch.arange(4)))
    free, first, second = (s(alone, c).latents[LATENT] for s, c in ((plain, context), (step, context), (step, later)))
    torch.testing.assert_close(first, free)
    goal = context.encode(later.made.stored(later.made.where(int(alone.labels[0]))[:1]))
    assert (second - goal).abs().mean() < 0.7 * (free - goal).abs().mean()


def test_a_small_decoder_stands_in_for_gradients_only(tmp_path):
    context = toy_context(tmp_path, ipc=2, data=ToyData(size=16, channels=3))
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1), latent_channels=3,
    )  # fmt: skip
    context = replace(context, prior=ToyPrior(3, 16, 3))
    x = torch.randn(4, 3, 8, 8)
    asked = []
    monitored = tiny.decode
    tiny.decode = lambda *a, **k: asked.append(1) or monitored(*a, **k)
    guide = Guide(Probe("pixels"), decoder=tiny)
    assert guide == Guide(Probe("pixels"), decoder=tiny) and "AutoencoderTiny" in repr(guide)
    draft = replace(toy_draft(context), prior=context.prior)
    (item,) = bind([guide], context)
    asked.clear()
    now = Moment(draft, x, draft.prior.condition(draft.labels), LEVEL, AFTER, 0, None, 8)
    assert gradient(item, Estimate(x), x, now).abs().sum() > 0 and asked == [1]


def test_a_decoder_of_another_size_is_refused(tmp_path):
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4,), decoder_block_out_channels=(4,), num_encoder_blocks=(1,),
        num_decoder_blocks=(1,), latent_channels=1, in_channels=1, out_channels=1,
    )  # fmt: skip
    with pytest.raises(UserError, match="small decoder"):
        bind([Guide(Probe("pixels"), decoder=tiny)], toy_context(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"objective": ModePull(weight=2.5)}, "overshoots"),
        ({"objective": ModePull(weight=2.5), "scale": Power(0, 0)}, "overshoots"),
        ({"objective": ModePull(weight=0.0)}, "above 0"),
        ({"objective": ModePull(weight=float("nan"))}, "above 0"),
        ({"objective": ModePull(), "window": (0.5, 0.5)}, "window"),
        ({"objective": ModePull(), "before_cfg": True, "gradient": "denoiser"}, "before_cfg"),
        ({"objective": ModePull(), "decoder": 3}, "AutoencoderTiny"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(wrong, says):
    with pytest.raises(UserError, match=says):
        Guide(**wrong)


@pytest.mark.parametrize("exponents", [{"sigma": float("nan")}, {"sigma": float("-inf")}])
@pytest.mark.parametrize("scale", [Power, OnStep])
def test_exponents_that_are_no_number_are_refused(scale, exponents):
    with pytest.raises(UserError, match="finite"):
        scale(**exponents)


def test_pulls_that_act_together_add_up_and_cfg_multiplies_what_comes_before_it(context):
    """Steps are at 0.8, 0.6, 0.4, 0.2 and 0: guides that hand over at one of them overshoot there alone."""

    def fits(*guides, cfg=4.0):
        Sample(steps=5, cfg=cfg, guides=guides).fits(empty(context), context)

    early, late = Guide(ModePull(weight=1.2), window=(0.4, 1.0)), Guide(ModePull(weight=1.2), window=(0.0, 0.4))
    fits(early, late)
    with pytest.raises(UserError, match=r"ModePull \(weight 1.2\), ModePull \(weight 1.2\) overshoot .* 2.4 times"):
        fits(early, replace(late, window=(0.4, 1.0)))
    before = Guide(ModePull(weight=0.6), before_cfg=True)
    fits(before, cfg=3.0)
    with pytest.raises(UserError, match="cfg=4 for what comes before it"):
        fits(before)
    fits(Guide(ModePull(weight=1e3), gradient="denoiser", scale=Power()))


def test_a_scale_that_overshoots_at_every_level_is_refused_before_its_objective_is_bound(context, monkeypatch):
    bound = []
    monkeypatch.setattr(ModePull, "bind", lambda self, context: bound.append(self))
    for scale, weight in ((OnMean(), 1e6), (Power(0.5, 0.0), 1e3)):
        with pytest.raises(UserError, match="overshoot further at every step"):
            Sample(steps=5, guides=(Guide(ModePull(weight=weight), (0.1, 1.0), scale=scale),))(empty(context), context)
    assert not bound


def test_a_guide_that_runs_away_is_stopped_where_it_does(context):
    far = Guide(Probe(weight=400.0))
    with pytest.raises(Diverged, match=r"Probe.*step 0 .*class 0, class 1.*root mean square"):
        Sample(steps=5, guides=(far,))(empty(context), context)


@dataclass(frozen=True)
class Raise(Objective):
    """Wants every number of the clean latent higher: at weight 1 a guide adds 1 to them."""

    weight: float = 1.0

    def bind(self, context):
        return lambda synthetic: -synthetic.clean.flatten(1).sum(1)


@pytest.mark.parametrize(("size", "step"), [(7.0, 7), (18.0, 5)])
def test_an_estimate_too_large_for_its_level_is_refused_at_that_step(size, step, context):
    """Ten steps of the toy's cosine: noise is 0.75 of the signal at step 5, 0.33 at step 7."""
    guide = Guide(Raise(weight=size))
    with pytest.raises(Diverged, match=rf"by Raise \(weight {size:g}\) diverged at step {step} .*class 0, class 1"):
        Sample(steps=10, guides=(guide,))(empty(context), context)


def test_a_large_estimate_where_noise_is_high_passes(context):
    """There an estimate seven times as large is noise that is off by little, and the network mends it."""
    made = Sample(steps=10, guides=(Guide(Raise(weight=7.0), window=(0.5, 1.0)),))(empty(context), context)
    assert float(made.latents[LATENT].square().mean().sqrt()) < 1.2


def test_a_guide_that_makes_a_large_estimate_smaller_is_not_refused(context):
    """An untrained network answers with what no picture has; that is not the guide's work."""
    x = toy_draft(context).latents[LATENT]
    now = replace(at(context, x), level=Level(0.99, 0.14, 0.1))

    def moved(objective, size):
        return displaced(Estimate(size * x.sign()), bind([Guide(objective)], context), now, str).clean

    assert float(moved(Probe(weight=0.1), 8.0).abs().max()) == pytest.approx(7.2)
    for objective, size in ((Raise(weight=7.0), 3.0), (Probe(weight=0.1), 30.0)):
        with pytest.raises(Diverged, match=rf"{type(objective).__name__} .*root mean square"):
            moved(objective, size)


def test_what_the_prior_itself_says_is_not_blamed_on_a_guide(context):
    x = toy_draft(context).latents[LATENT]
    with pytest.raises(
        Diverged, match=r"the prior's own estimate is no number at step 3 .* before Probe \(weight 0.1\)"
    ):
        displaced(Estimate(x * float("inf")), bind([Guide(Probe(weight=0.1))], context), at(context, x), str)


def test_a_constant_estimate_is_refused_where_a_guide_makes_it(context):
    with pytest.raises(Diverged, match=r"Probe .*at step 0 .*class 0, class 1: .*the same at every place"):
        Sample(steps=5, guides=(Guide(Probe("clean", weight=1.0)),))(empty(context), context)


def test_what_cfg_makes_of_a_guide_is_refused_at_the_end(context):
    guide = Guide(Raise(weight=3.0), window=(0.0, 0.05), before_cfg=True)
    with pytest.raises(Diverged, match=r"by Raise \(weight 3\) diverged by the last step, 4, for .*class 0, class 1"):
        Sample(steps=5, cfg=4.0, guides=(guide,))(empty(context), context)


def test_size_and_spread_are_those_of_each_picture():
    rows = torch.tensor([[[[1.0, 3.0]], [[2.0, 2.0]]], [[[0.0, float("nan")]], [[0.0, 0.0]]]])
    size, spread = size_and_spread(rows)
    assert float(size[0]) == pytest.approx(((1 + 9 + 4 + 4) / 4) ** 0.5) and not torch.isfinite(size[1])
    assert float(spread[0]) == pytest.approx(0.5**0.5)
    assert size_and_spread(torch.tensor([[3.0, 4.0]]))[0].item() == pytest.approx(12.5**0.5)
