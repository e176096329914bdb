"""Log-probabilities compared picture by picture, by hand, and what a distance of means does not see."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.nets.sampling import Fixed
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.toys import toy_context
from tests.parts_under_test import TEACHER


def test_it_is_the_mean_squared_difference_of_pairs():
    real = torch.tensor([[0.5, 0.5], [0.8, 0.2]]).log()
    synthetic = torch.tensor([[0.25, 0.75], [0.8, 0.2]]).log()
    by_hand = (math.log(2) ** 2 + math.log(0.5 / 0.75) ** 2) / 4
    assert LogitMatching().distance(real, synthetic, ()).item() == pytest.approx(by_hand)


def test_real_pictures_are_taken_again_where_they_are_fewer():
    real, synthetic = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 5.0]])
    assert LogitMatching().distance(real, synthetic, ()).item() == pytest.approx(9 / 6)


def test_it_holds_every_picture_to_the_class_not_their_mean():
    real, synthetic = torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [2.0]], requires_grad=True)
    assert MeanFeatures().distance(real, synthetic, ()).item() == 0
    found = LogitMatching().distance(real, synthetic, ())
    found.backward()
    assert found.item() == 1 and synthetic.grad is not None and synthetic.grad[0] < 0 < synthetic.grad[1]


def test_the_look_is_log_probabilities(tmp_path):
    (net,) = Fixed((TEACHER,)).draw(toy_context(tmp_path))
    found = LogitMatching().look(net, torch.rand(2, 1, 8, 8))
    assert found.shape == (2, 3)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2))
