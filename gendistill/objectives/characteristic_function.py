"""NCFM (Wang et al., CVPR 2025), https://arxiv.org/abs/2502.20653: characteristic functions of the features agree.

    P(t) = mean exp(i t.f),   f of length 1,   t ~ N(0, I)
    loss_class = n mean_t sqrt( alpha (|P_real| - |P_synthetic|)^2  +  2 beta (|P_real| |P_synthetic| - Re P_real P*_synthetic) )

The first term is the difference in amplitude, how spread the features are; the second in phase, where they are. The frequencies t
may come from a network that learns, step by step, where the two differ most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill import seeds
from gendistill.context import Context
from gendistill.draft import Loss
from gendistill.nets.sampling import Network
from gendistill.objectives.matching import FeatureMatching, Key
from gendistill.types import Pixels, UserError

GUARD = 1e-12
"""Below the roots: where both sides agree their gradient would be infinite."""


@dataclass(frozen=True)
class FrequencySampler:
    """A network from noise to frequencies in [-1, 1], trained to make the loss large, one for each class and network of a step.

    width   of its two hidden layers
    lr      of Adam, which takes a step whenever the pictures take one
    period  steps after which it begins anew, untrained; an optimisation is resumed only there
    """

    width: int = 256
    lr: float = 1e-3
    period: int = 500

    def __post_init__(self) -> None:
        if self.width < 1 or self.lr <= 0 or self.period < 1:
            raise UserError(
                f"FrequencySampler needs width >= 1, lr > 0 and period >= 1, got {self.width}, {self.lr}, {self.period}"
            )

    def network(self, features: int, seed: int, device: torch.device) -> nn.Module:
        """A new network whose weights follow from ``seed`` alone."""
        sizes = (features, self.width, self.width, features)
        with seeds.as_global(seed):
            layers: list[nn.Module] = []
            for inside, outside in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.LeakyReLU(0.2)]
            return nn.Sequential(*layers[:-1], nn.Tanh()).to(device)


@dataclass
class _Learning:
    """A sampler on its way. What it learns at a step counts from the next: asked twice at one step, it says the same."""

    step: int
    net: nn.Module
    optimizer: torch.optim.Optimizer


@dataclass(frozen=True)
class CharacteristicFunction(FeatureMatching):
    """Distance of the characteristic functions of the features of a class, times the number of synthetic pictures.

    networks     what looks at the pictures, anew at every step
    batch        real pictures per class and step
    augment      the same random change to both sides, None for none
    frequencies  where the functions are compared, drawn anew at every step
    alpha, beta  weights of amplitude and phase
    sampler      learns the frequencies; None for normal ones
    """

    frequencies: int = 1024
    alpha: float = 0.5
    beta: float = 0.5
    sampler: FrequencySampler | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # A sampler's batch normalisation needs two.
        if self.frequencies < 2 or min(self.alpha, self.beta) < 0 or self.alpha + self.beta == 0:
            raise UserError(
                f"CharacteristicFunction needs frequencies >= 2, alpha >= 0, beta >= 0 and one of them above 0, "
                f"got {self.frequencies}, {self.alpha}, {self.beta}"
            )

    @property
    def period(self) -> int:
        """That of the sampler."""
        return 1 if self.sampler is None else self.sampler.period

    def look(self, net: Network, pixels: Pixels) -> Tensor:
        """Features of length 1."""
        return F.normalize(net.features(pixels), dim=1)

    def bind(self, context: Context) -> Loss:
        """One number per class of the context, in its order."""
        if self.sampler is None:
            return super().bind(context)
        learned, states = self.sampler, {}

        def distance(real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
            return self.at(self._hardest(real, synthetic, key, learned, states), real, synthetic)

        return self.matched(context, distance)

    def distance(self, real: Tensor, synthetic: Tensor, key: Key) -> Tensor:
        """At normal frequencies."""
        return self.at(self._noise(real, key), real, synthetic)

    def at(self, frequencies: Tensor, real: Tensor, synthetic: Tensor) -> Tensor:
        """The mean over frequencies (count, d) of the difference between two sets of features."""
        (a, x, y), (b, u, v) = (_polar(points @ frequencies.T) for points in (real, synthetic))
        phase = 2 * (a * b - x * u - y * v)
        return (self.alpha * (a - b).square() + self.beta * phase).clamp_min(GUARD).sqrt().mean()

    def _noise(self, real: Tensor, key: Key) -> Tensor:
        stream = seeds.stream(*key, "frequencies")
        return torch.randn(self.frequencies, real.shape[1], generator=stream).to(real)

    def _hardest(
        self, real: Tensor, synthetic: Tensor, key: Key, sampler: FrequencySampler, states: dict[object, _Learning]
    ) -> Tensor:
        """Frequencies of the sampler as it is; it learns from these pictures for the next step."""
        *place, step = key
        who, age = (*place, real.shape[1]), int(step) // sampler.period
        state = states.get(who)
        if state is None or state.step // sampler.period != age or state.step > int(step):
            net = sampler.network(real.shape[1], seeds.number(*place, age, "sampler"), real.device)
            state = states[who] = _Learning(int(step), net, torch.optim.Adam(net.parameters(), sampler.lr))
        elif state.step < int(step):
            state.optimizer.step()
            state.step = int(step)
        with torch.enable_grad():
            frequencies = state.net(self._noise(real, key))
            state.optimizer.zero_grad(set_to_none=True)
            (-self.at(frequencies, real, synthetic.detach())).backward()
        return frequencies.detach()


def _polar(angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Amplitude, real and imaginary part of the mean of exp(i angle) over points (n, count)."""
    x, y = angles.cos().mean(0), angles.sin().mean(0)
    return (x.square() + y.square()).clamp_min(GUARD).sqrt(), x, y
