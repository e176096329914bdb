"""What a denoiser's head predicts, and the clean latent that follows from it (Salimans & Ho, ICLR 2022; Lipman et al., ICLR 2023).

noise   clean = (x - sigma e) / alpha        velocity   clean = alpha x - sigma v        flow   clean = x - s v
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from gendistill.types import Level


def rows_like(value: float | Tensor, x: Tensor) -> float | Tensor:
    """A number per picture, shaped to multiply ``x``."""
    return value.view(-1, *[1] * (x.dim() - 1)) if isinstance(value, Tensor) else value


def from_noise(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted noise."""
    return (x - rows_like(level.sigma, x) * head) / rows_like(level.alpha, x)


def from_velocity(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted v = alpha noise - sigma clean (Salimans & Ho, 2022)."""
    return rows_like(level.alpha, x) * x - rows_like(level.sigma, x) * head


def from_flow(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted noise - clean."""
    return x - rows_like(level.sigma, x) * head


def from_sample(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent, predicted as it is."""
    return head


HEADS: Mapping[str, Callable[[Tensor, Tensor, Level], Tensor]] = {
    "epsilon": from_noise,
    "v_prediction": from_velocity,
    "flow_prediction": from_flow,
    "sample": from_sample,
}
HEAD_ERRORS: Mapping[Callable, Callable[[Level], float | Tensor]] = {
    from_noise: lambda level: level.alpha / level.sigma,
    from_velocity: lambda level: 1 / level.sigma,
    from_flow: lambda level: 1 / level.sigma,
    from_sample: lambda level: 1.0,
}
"""How far off the head is where its clean latent is off by 1: the factor in the lines above, turned round."""
