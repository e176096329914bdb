"""Softened answers compared picture by picture, by hand, and what a difference of log-probabilities does not weigh."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch

from gendistill.nets.sampling import Fixed
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.objectives.prediction_matching import PredictionMatching
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER


def test_it_is_the_mean_divergence_of_pairs():
    real = torch.tensor([[0.5, 0.5], [0.8, 0.2]]).log()
    synthetic = torch.tensor([[0.25, 0.75], [0.8, 0.2], [0.25, 0.75]]).log()
    pair = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)  # the first real picture is taken again
    assert PredictionMatching().distance(real, synthetic, ()).item() == pytest.approx(2 * pair / 3)


def test_answers_are_softened_by_the_temperature(tmp_path):
    context, pixels = toy_context(tmp_path), torch.rand(2, 1, 8, 8)
    (net,) = Fixed((TEACHER,)).draw(context)
    logits = cast(torch.nn.Module, net)(pixels)
    found = PredictionMatching(temperature=2.0).look(net, pixels).exp()
    torch.testing.assert_close(found, logits.exp().sqrt() / logits.exp().sqrt().sum(1, keepdim=True))


def test_classes_that_the_real_picture_is_not_like_hardly_count():
    real = torch.tensor([[0.9999, 0.0001]]).log()
    unsure, sure = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[1 - 1e-9, 1e-9]]).log()
    divergence, squares = PredictionMatching(), LogitMatching()
    assert divergence.distance(real, sure, ()) < divergence.distance(real, unsure, ())
    assert squares.distance(real, sure, ()) > squares.distance(real, unsure, ())


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(UserError, match="temperature > 0"):
        PredictionMatching(temperature=0.0)
