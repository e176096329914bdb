"""Covariances by hand, and what they do not see."""

from __future__ import annotations

import pytest
import torch

from gendistill.objectives.class_covariance import ClassCovariance
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.toys import toy_context
from gendistill.types import UserError

REAL, MADE = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))


def test_it_is_the_squared_difference_of_covariances_per_feature():
    real, synthetic = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    # Covariances [[1, 0], [0, 0]] and [[0, 0], [0, 4]]: squared differences 1 and 16, of two features.
    assert ClassCovariance().distance(real, synthetic, ()).item() == pytest.approx(17 / 2)


def test_inner_products_give_what_the_covariances_do():
    real, made = (torch.cov(points.T, correction=0) for points in (REAL, MADE[:4]))
    torch.testing.assert_close(ClassCovariance().distance(REAL, MADE[:4], ()), (real - made).square().sum() / 3)


def test_it_is_blind_to_the_mean():
    at, moved = (ClassCovariance().distance(REAL, MADE + shift, ()) for shift in (0.0, 5.0))
    torch.testing.assert_close(at, moved)
    assert MeanFeatures().distance(REAL, MADE + 5.0, ()) > 10 * MeanFeatures().distance(REAL, MADE, ())


def test_one_picture_per_class_does_not_vary(tmp_path):
    with pytest.raises(UserError, match="ipc=1"):
        ClassCovariance().bind(toy_context(tmp_path, ipc=1))
