"""Maximum mean discrepancy by hand, and what a mean does not see."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.objectives.kernel_mmd import KernelMMD
from gendistill.types import UserError


def test_it_is_the_mean_over_all_pairs():
    real, synthetic = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0]])
    # Squared distances 4, 1, 1: the median is 1.
    among_real, across = (1 + math.exp(-2)) / 2, math.exp(-0.5)
    found = KernelMMD(bandwidths=(1.0,)).distance(real, synthetic, ())
    assert found.item() == pytest.approx(among_real + 1 - 2 * across)


def test_kernels_are_averaged():
    real, synthetic = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    each = [KernelMMD(bandwidths=(one,)).distance(real, synthetic, ()) for one in (0.5, 2.0)]
    torch.testing.assert_close(KernelMMD(bandwidths=(0.5, 2.0)).distance(real, synthetic, ()), sum(each) / 2)


def test_it_sees_spread_where_the_means_agree():
    real, synthetic = torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.01], [-0.01]], requires_grad=True)
    found = KernelMMD().distance(real, synthetic, ())
    assert found > 0.1
    found.backward()
    assert synthetic.grad is not None and synthetic.grad[0] < 0 < synthetic.grad[1], "it spreads them"


def test_features_that_are_the_same_do_not_narrow_the_kernel():
    """Of 15 squared distances 10 are 0, four of them but for rounding; those that are not are 1."""
    real, synthetic = torch.tensor([[0.0], [0.0], [0.0], [0.0], [1e-4]]), torch.tensor([[1.0]], requires_grad=True)
    found = KernelMMD(bandwidths=(1.0,)).distance(real, synthetic, ())
    assert found.item() == pytest.approx(2 - 2 * math.exp(-0.5), rel=1e-3)
    found.backward()
    assert synthetic.grad is not None and synthetic.grad.item() == pytest.approx(2 * math.exp(-0.5), rel=1e-3)


def test_it_is_zero_where_both_are_the_same_and_in_one_place():
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert abs(KernelMMD().distance(points, points.flip(0), ()).item()) < 1e-6
    assert KernelMMD().distance(torch.ones(3, 2), torch.ones(2, 2), ()) == 0


def test_bandwidths_must_be_above_zero():
    with pytest.raises(UserError, match="bandwidths above 0"):
        KernelMMD(bandwidths=(1.0, 0.0))
