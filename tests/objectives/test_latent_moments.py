"""Moments of a set of latents against those of the real ones of the class."""

from __future__ import annotations

import pytest
import torch

from gendistill import seeds
from gendistill.objectives.latent_moments import LatentMoments, moments
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.objectives.test_diversity import draft, look


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, classes=(0,))


def rows(*values):
    return torch.tensor(values).float().view(len(values), 1, 1, -1)


REAL = rows((0, 2), (2, 2), (4, 8))  # mean (2, 4), deviation (2, sqrt 12), skewness (0, 1 / sqrt 2)
MADE = rows((1, 1), (3, 1))  # mean (2, 1), deviation (sqrt 2, 0)


@pytest.fixture
def value(context):
    context.once(("latents", 0), lambda: REAL)

    def given(made=MADE, before=None, **weights):
        seen = look(context, made, [0] * len(made), before)
        return LatentMoments(**{"mean": 0.0, "std": 0.0, **weights}).bind(context)(seen).item()

    return given


def test_by_hand(value):
    deviation = ((2 - 2**0.5) ** 2 + 12) ** 0.5
    assert value(mean=1.0) == pytest.approx(2 * 3)
    assert value(std=1.0) == pytest.approx(2 * deviation)
    assert value(mean=1.0, std=0.5) == pytest.approx(2 * (3 + 0.5 * deviation))
    assert value(mean=1.0, std=0.5, squared=True) == pytest.approx(2 * (9 + 0.5 * deviation**2))


def test_skewness_by_hand(value):
    assert moments(REAL)["skewness"].tolist() == pytest.approx([0, 0.5**0.5])
    assert value(rows((0, 8), (2, 8), (4, 2)), skewness=1.0) == pytest.approx(3 * 2**0.5)


def test_moments_that_few_pictures_lack_are_left_out(value):
    assert value(MADE[:1], mean=1.0, std=1.0, skewness=1.0) == pytest.approx(10**0.5)
    assert value(MADE[:1], std=1.0) == 0
    assert value(MADE, skewness=1.0) == 0


def test_finished_pictures_belong_to_the_set(context, value):
    before = draft(context, MADE[:1], [0])
    assert value(MADE[1:], before, mean=1.0, std=1.0) == pytest.approx(value(MADE, mean=1.0, std=1.0))


def test_the_set_is_looked_at_not_the_picture(context):
    real = torch.randn(20, 1, 4, 4, generator=seeds.stream("moments"))
    context.once(("latents", 0), lambda: real)
    loss = LatentMoments(skewness=1.0).bind(context)
    same, turned = (loss(look(context, made, [0] * 20)).item() for made in (real.flip(0), real.flip(2, 3)))
    # turned by 180 degrees, every picture keeps the mean, deviation and skewness of its own numbers
    assert same == pytest.approx(0, abs=1e-3) and turned > 1


def test_numbers_that_never_change_do_no_harm(context):
    made = torch.ones(3, 1, 1, 2, requires_grad=True)
    context.once(("latents", 0), lambda: torch.ones(5, 1, 1, 2))
    LatentMoments(skewness=1.0).bind(context)(look(context, made, [0] * 3)).sum().backward()
    assert made.grad.abs().max() == 0


def test_real_moments_are_kept(tmp_path, context):
    LatentMoments().bind(context)
    assert len(list((tmp_path / "latent_moments").glob("*.safetensors"))) == len(context.classes)


def test_weights_must_say_something():
    for weights in ({"mean": 0.0, "std": 0.0}, {"mean": -1.0}):
        with pytest.raises(UserError, match="one of them above"):
            LatentMoments(**weights)
