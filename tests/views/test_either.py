"""Which of two pictures is shown."""

from __future__ import annotations

import torch

from gendistill.views.either import either


def test_it_is_what_where_gives_to_the_last_bit_and_so_is_its_gradient():
    pixels, others, slope = torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()
    which = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3
    gradients = []
    for choose in (lambda a, b: either(which, a, b), lambda a, b: torch.where(which, b, a)):
        leaves = [one.clone().requires_grad_() for one in (pixels, others)]
        found = choose(*leaves)
        assert torch.equal(found, torch.where(which, others, pixels))
        gradients.append(torch.autograd.grad(found, leaves, slope))
    assert all(torch.equal(mine, known) for mine, known in zip(*gradients, strict=True))
