"""Pictures that steering blew out or blanked are told by real ones of their class, and looked at only where latents are unusual."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.images import StoredImages
from gendistill.objectives.base import Objective
from gendistill.steering.blown_out import PHOTOGRAPHS, blown_out, shares, unusual, usual
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import ToyPrior, toy_context, toy_draft
from gendistill.types import LATENT, Class, Diverged, RealData


@dataclass(frozen=True)
class Brighter(Objective):
    """Every number of the clean latent higher: at weight 1 a guide adds 1 to them."""

    weight: float = 1.0

    def bind(self, context):
        return lambda synthetic: -synthetic.clean.flatten(1).sum(1)


class Squashing(ToyPrior):
    """As an autoencoder does: pixels stay in [0, 1] however large latents are."""

    def decode(self, latents):
        return (6 * (super().decode(latents) - 0.5)).sigmoid()


def row(*values):
    """A picture of one row and one channel."""
    return torch.tensor(values).view(1, 1, 1, -1)


def beside(tmp_path, *real, ipc=1):
    """A context whose class 0 has these real pictures, 8-bit."""
    pictures = torch.cat([row(*one) for one in real]).mul(255).round().to(torch.uint8)
    images = StoredImages([Class("class 0")], torch.zeros(len(pictures), dtype=torch.long), pictures)
    return replace(toy_context(tmp_path, classes=(0,), ipc=ipc), real=RealData("rows", images, None))


def showing(context, *values):
    """A draft of pictures of these values: the toy prior repeats every latent, twice in each direction."""
    return replace(toy_draft(context), latents={LATENT: row(*values).repeat(context.ipc, 1, 1, 1)})


def test_shares_and_deviations_are_those_of_each_picture():
    share, deviation = shares(torch.cat([row(0.0, 1.0, 0.5, 0.5), row(-3.0, 0.004, 0.01, 0.99)]))
    assert share.tolist() == [0.5, 0.5]
    assert float(deviation[0]) == pytest.approx(0.125**0.5)


@pytest.mark.parametrize(("ipc", "wrong"), [(1, False), (4, True)])
def test_one_picture_may_be_as_extreme_as_a_real_one_and_a_class_may_not(ipc, wrong, tmp_path):
    """Real ones have none: one picture may have up to 0.75, the mean of four up to 0.5. These have 0.6."""
    context = beside(tmp_path, (0.2, 0.4, 0.6, 0.8), (0.3, 0.7, 0.4, 0.6), ipc=ipc)
    found = blown_out(showing(context, 0.0, 1.0, 1.0, 0.4, 0.6), context)
    assert (found is not None) is wrong
    if found:
        assert found[0].tolist() == [0]
        assert found[1] == "60% of the values of its pictures are black or white, of real ones 0%"


def test_drawings_are_black_and_white_and_may_be(tmp_path):
    context = beside(tmp_path, *[(0.0,) * 9 + (0.5,)] * 2, ipc=4)
    assert blown_out(showing(context, 0.0, 1.0, 1.0, 1.0), context) is None


@pytest.mark.parametrize(("step", "wrong"), [(0.015, True), (0.03, False)])
def test_a_class_five_times_as_flat_as_its_flattest_real_picture_is_blank(step, wrong, tmp_path):
    context = beside(tmp_path, (0.4, 0.6), (0.45, 0.55))
    found = blown_out(showing(context, 0.5, 0.5 + step), context)
    assert (found is not None) is wrong
    if found:
        assert found[1].startswith("its pictures deviate from one value by 0.0075, real ones by 0.049 or more")


def test_without_real_pictures_photographs_tell(tmp_path):
    context = beside(tmp_path, (0.2, 0.8))
    assert usual(context, 3) is PHOTOGRAPHS
    other = showing(context, *[1.0] * 19, 0.5)
    assert blown_out(replace(other, labels=other.labels + 3), context) is not None


def test_latents_are_unusual_by_size_or_spread():
    plain = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert not unusual({LATENT: plain})
    assert unusual({LATENT: 2 * plain}) and unusual({LATENT: 0.1 * plain}) and unusual({LATENT: plain.sqrt()})
    assert not unusual({LATENT: 20 * plain}, {LATENT: (torch.tensor(20.0), torch.tensor(20.0))})
    assert not unusual({LATENT: torch.ones(2, 8)}), "a vector has no places"


@pytest.fixture
def context(tmp_path):
    made = toy_context(tmp_path, ipc=4)
    return replace(made, made=None, prior=Squashing(3))


def test_a_guide_that_blows_pictures_out_is_named_at_the_end_of_its_block(context):
    """Latents of 2 are no size to be refused for; all their pixels are white."""

    def sampled(weight):
        guide = Guide(Brighter(weight=weight), window=(0.0, 0.15))
        return Sample(steps=10, guides=(guide,))(replace(toy_draft(context), latents={}), context)

    assert float(sampled(0.05).latents[LATENT].square().mean().sqrt()) < 1
    words = r"by Brighter \(weight 2\) diverged by the last step, 9, for class class 0, class 1: 100% of the values .* real ones 0%"
    with pytest.raises(Diverged, match=words):
        sampled(2.0)


@pytest.mark.parametrize(("steps", "step"), [(10, 7), (7, 6)])
def test_an_optimisation_that_does_is_stopped_on_the_way(steps, step, context):
    """Looked at after 1, 2, 4, 8 ... steps and the last, once latents, which began at 0.5, passed 1.5."""
    draft = replace(toy_draft(context), latents={LATENT: torch.full_like(toy_draft(context).latents[LATENT], 0.5)})
    brighter = Optimize((Brighter(),), steps=steps, lr=0.2, optimizer="SGD", momentum=0.0)
    with pytest.raises(Diverged, match=rf"Optimize by Brighter \(weight 1\) diverged at step {step} .*black or white"):
        brighter(draft, context)


def test_usual_latents_are_not_decoded(context, monkeypatch):
    seen = []
    monkeypatch.setattr(Squashing, "decode", lambda prior, latents: seen.append(len(latents)))
    Optimize((Brighter(weight=0.01),), steps=4, lr=0.1, optimizer="SGD")(toy_draft(context), context)
    assert not seen
