"""Classifier-free guidance (Ho & Salimans, 2022), https://arxiv.org/abs/2207.12598: null + cfg (conditional - null)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gendistill.types import Conditions, Diffusion, Estimate, Level


def guided(
    prior: Diffusion,
    x: Tensor,
    level: Level,
    conditions: Conditions,
    cfg: float,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Estimate:
    """The clean estimate of ``x``, guided on the channels that the prior guides; 1 asks for no guidance and costs half.

    ``change`` is made to the conditional estimate before.
    """
    if cfg == 1:
        estimate = prior.denoise(x, level, conditions)
        return estimate if change is None else Estimate(change(estimate.clean), estimate.log_variance)
    estimate = prior.denoise(torch.cat([x, x]), level, with_null(conditions))
    asked, null = estimate.clean.chunk(2)
    if change is not None:
        asked = change(asked)
    clean = torch.lerp(null, asked, cfg)
    if prior.cfg_channels < clean.shape[1]:
        clean = torch.cat([clean[:, : prior.cfg_channels], asked[:, prior.cfg_channels :]], 1)
    return Estimate(clean, None if estimate.log_variance is None else estimate.log_variance.chunk(2)[0])


def with_null(conditions: Conditions) -> Conditions:
    """Both halves: what is asked for, then the null rows."""
    return Conditions({name: torch.cat([value, conditions.null[name]]) for name, value in conditions.values.items()})
