"""Our pooling is torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill.nets.halving import Halving


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
def test_it_is_average_pooling_with_its_gradient(size):
    x = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found, wanted = Halving()(x), F.avg_pool2d(x, 2)
    torch.testing.assert_close(found, wanted)
    ours, theirs = (torch.autograd.grad(one.square().sum(), x)[0] for one in (found, wanted))
    torch.testing.assert_close(ours, theirs)
