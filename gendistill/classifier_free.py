"""Classifier-free guidance (Ho & Salimans, 2022), https://arxiv.org/abs/2207.12598: null + cfg (conditional - null)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gendistill.capabilities import Diffusion
from gendistill.context import blocks
from gendistill.types import Conditions, Estimate, Level


def guided(
    prior: Diffusion,
    x: Tensor,
    level: Level,
    conditions: Conditions,
    cfg: float,
    change: Callable[[Tensor], Tensor] | None = None,
    block: int | None = None,
) -> Estimate:
    """The clean estimate of ``x``, guided on the channels that the prior guides; 1 asks for no guidance and costs half.

    change  is made to the conditional estimate before
    block   pictures that the prior denoises together, None for all; where gradients are enabled, each of several blocks is
            computed again on the way back, so that memory holds one of them
    """
    if cfg == 1:
        estimate = _denoised(prior, x, level, conditions, block)
        return estimate if change is None else Estimate(change(estimate.clean), estimate.log_variance)
    estimate = _denoised(prior, torch.cat([x, x]), level, with_null(conditions), block and 2 * block)
    asked, null = estimate.clean.chunk(2)
    if change is not None:
        asked = change(asked)
    clean = torch.lerp(null, asked, cfg)
    if prior.cfg_channels < clean.shape[1]:
        clean = torch.cat([clean[:, : prior.cfg_channels], asked[:, prior.cfg_channels :]], 1)
    return Estimate(clean, None if estimate.log_variance is None else estimate.log_variance.chunk(2)[0])


def _denoised(prior: Diffusion, x: Tensor, level: Level, conditions: Conditions, block: int | None) -> Estimate:
    """The estimate for all rows, ``block`` of them at a time."""
    if block is None or len(x) <= block:
        return prior.denoise(x, level, conditions)

    def one(rows: slice, x: Tensor) -> tuple[Tensor, Tensor | None]:
        found = prior.denoise(x[rows], level, conditions[rows])
        return found.clean, found.log_variance

    parts = blocks(len(x), block)
    if torch.is_grad_enabled():
        found = [cast(tuple, checkpoint(one, rows, x, use_reentrant=False)) for rows in parts]
    else:
        found = [one(rows, x) for rows in parts]
    cleans, variances = zip(*found, strict=True)
    return Estimate(torch.cat(cleans), None if variances[0] is None else torch.cat(variances))


def with_null(conditions: Conditions) -> Conditions:
    """Both halves: what is asked for, then the null rows."""
    return Conditions({name: torch.cat([value, conditions.null[name]]) for name, value in conditions.values.items()})
