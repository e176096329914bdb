"""Teachers that normalise by the pictures they are shown: BSSL of CV-DD (Cui et al., 2025), https://arxiv.org/abs/2501.07575.

Synthetic pictures have other statistics than real ones, so batch norms in training mode fit them better than their running mean and
variance. A label then depends on the batch its picture was in: batches follow from a seed, and all are of one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gendistill import seeds
from gendistill.types import UserError


def norms(net: nn.Module) -> list[_BatchNorm]:
    """The batch norms of a network."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def check(nets: Sequence[nn.Module]) -> None:
    """Raise `UserError` if one of the teachers has no batch norm: it would say the same as ever."""
    without = [type(net).__name__ for net in nets if not norms(net)]
    if without:
        raise UserError(
            f"labels by the statistics of a batch need teachers with batch norm, which {', '.join(without)} has not: give others, "
            "such as ConvNet(norm='batch'), or batch_statistics=0"
        )


@contextmanager
def by_batch(nets: Sequence[nn.Module]) -> Iterator[None]:
    """While this lasts, batch norms take mean and variance from what they see, and leave those they have learned alone."""
    before = [(norm, norm.training, norm.track_running_stats) for net in nets for norm in norms(net)]
    for norm, _, _ in before:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, training, tracking in before:
            norm.training, norm.track_running_stats = training, tracking


def batches(count: int, size: int, seed: int, view: int) -> list[Tensor]:
    """Positions of ``count`` pictures in an order that follows from seed and view, each in a batch of ``size`` or of all.

    The last batch is filled up with those of the first.

    Raises:
        UserError: there is but one picture, which has no statistics.
    """
    if count < 2:
        raise UserError(
            "labels by the statistics of a batch need at least 2 pictures, and this set has 1: batch_statistics=0"
        )
    size = min(size, count)
    order = torch.randperm(count, generator=seeds.stream(seed, "batch statistics", view))
    missing = -count % size
    return list(torch.cat([order, order[:missing]]).split(size))
