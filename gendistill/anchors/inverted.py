"""Noisy starts that stand for a class as a set: D3HR (Zhao et al., ICML 2025), https://arxiv.org/abs/2505.18399.

Clean latents of a class are far from normal; carried up to a noisy level along the prior's own deterministic path they nearly are.

    invert   x' = alpha' (x - sigma e) / alpha + sigma' e,   e the noise that the prior sees in x at the next level, under cfg
    measure  mean and standard deviation of every dimension over the class
    draw     many sets of IPC points from that normal, keep the one whose moments are nearest to it
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.anchors.base import Anchors, imagined
from gendistill.anchors.moments import Moments, distance, of_sets
from gendistill.capabilities import Denoises, Diffusion, Encodes
from gendistill.classifier_free import guided
from gendistill.context import Context, encoding, together
from gendistill.types import Diverged, Level, UserError
from gendistill.work import Work

log = logging.getLogger("gendistill")

TOGETHER = 1 << 24
"""Numbers of candidate sets that are held at once."""


@dataclass(frozen=True)
class Inverted(Anchors):
    """The best of many sets of points, drawn from a normal with the class's statistics at a noise level.

    The points are noisy: `Sample` goes on from their level and adds no noise, so a slot has one candidate. They are chosen as a
    set, so they are others at another IPC; what is measured of the class, and costs the time, is kept and serves every IPC. A
    class of one picture has no deviation: all its slots begin at one point.

    steps       of the grid, as of the sampler that goes on from here
    to          training time t / T that the latents are carried to; the nearest step is taken
    cfg         classifier-free guidance on the way, as of the sampler; 1 is none
    pictures    real latents of a class that are inverted, by chance; None for all
    candidates  sets that are drawn
    mean        weight of the distance of means
    std         weight of the distance of standard deviations
    skewness    weight of the skewness, over the pictures of a set
    """

    steps: int = 50
    to: float = 0.62
    cfg: float = 4.0
    pictures: int | None = None
    candidates: int = 10_000
    mean: float = 1.0
    std: float = 1.0
    skewness: float = 0.5
    needs = (Encodes, Denoises)
    noisy = True

    def __post_init__(self) -> None:
        counts = (self.steps, self.candidates, 2 if self.pictures is None else self.pictures - 1)
        if min(counts) < 1 or not 0 < self.to < 1 or min(self.mean, self.std, self.skewness, self.cfg) < 0:
            raise UserError(
                f"Inverted needs steps >= 1, candidates >= 1, pictures >= 2, 0 < to < 1, cfg >= 0 and weights >= 0, got {self}"
            )

    def level(self, context: Context) -> Level:
        """The step nearest to ``to``."""
        return self._grid(context)[-1]

    def find(self, context: Context, index: int, slots: Tensor) -> Tensor:
        """The points of the chosen set, noisy."""
        if context.dry:
            return imagined(context, slots)
        key = self._measured(context)
        statistics = context.kept("inverted", index, key, lambda: self._measure(context, index))
        more = {"anchors": repr(self), **key, "ipc": context.ipc, "seed": context.seed}
        best = int(context.kept("inverted set", index, more, lambda: self._best(context, index, statistics))["best"])
        drawn = statistics["mean"] + statistics["std"] * self._draw(context, index, best)
        return drawn.float()[slots % context.ipc]

    def work(self, context: Context) -> Iterable[Work]:
        """Encoding, a denoiser evaluation per real picture and step, and the drawing of sets."""
        yield from encoding(context)
        counts = [len(context.real.train.where(index)) for index in context.classes]
        real = sum(count if self.pictures is None else min(count, self.pictures) for count in counts)
        grid = self._grid(context)
        rows = min(together(context.real.train.shape), real)
        probe = imagined(context, torch.arange(rows)).to(context.device)

        @torch.no_grad()
        def step() -> Tensor:
            return self._step(context, context.classes[0], probe, grid[0], grid[-1])

        halves = 1 if self.cfg == 1 else 2
        yield Work("denoise", len(grid) * real / rows, step, shared=True, rows=halves * rows, each="class")
        shape = probe.shape[1:]
        flat = {"mean": torch.zeros(shape).double(), "std": torch.ones(shape).double()}
        together_, index = self._together(context), context.classes[0]
        yield Work(
            "draw sets",
            len(context.classes) * self.candidates / together_,
            lambda: self._scores(context, index, flat, range(together_)),
            rows=together_ * context.ipc,
        )

    def _measured(self, context: Context) -> dict[str, object]:
        fields = {"steps": self.steps, "to": self.to, "cfg": self.cfg, "pictures": self.pictures}
        return {"prior": cast(Diffusion, context.prior).fingerprint, **fields}

    def _grid(self, context: Context) -> list[Level]:
        """The levels that are passed, from the cleanest: those of the deterministic sampler on its way back."""
        schedule = cast(Diffusion, context.prior).schedule
        name = "FlowMatchEulerDiscrete" if schedule.flow else "DDIM"
        levels = schedule.solver(name, self.steps).levels[::-1]
        end = min(range(len(levels)), key=lambda number: abs(float(levels[number].time) - self.to))
        return levels[: end + 1]

    @torch.no_grad()
    def _measure(self, context: Context, index: int) -> dict[str, Tensor]:
        """Mean and unbiased standard deviation of the inverted latents, float64."""
        latents, grid = context.latents(index), self._grid(context)
        if self.pictures is not None:
            latents = latents[torch.randperm(len(latents), generator=seeds.stream("inverted", index))[: self.pictures]]
        total = torch.zeros(latents.shape[1:]).double()
        squares, origin = torch.zeros_like(total), latents.double().mean(0)
        blocks = latents.split(together(context.real.train.shape))
        for block in context.progress(blocks, f"invert class {index}", len(blocks)):
            x, now = block.to(context.device), cast(Diffusion, context.prior).schedule.level(0)
            for level in grid:
                x, now = self._step(context, index, x, now, level), level
            away = x.double().cpu() - origin  # sums around a point nearby lose nothing
            total, squares = total + away.sum(0), squares + away.square().sum(0)
        count = len(latents)
        if count == 1:
            log.warning("class %s has one real picture: all its slots begin at one point", context.real.classes[index])
        variance = (squares - total.square() / count) / max(count - 1, 1)
        if not torch.isfinite(variance).all():
            raise Diverged(
                f"inverting class {context.real.classes[index]} gave numbers that are not finite with {self}"
            )
        return {"mean": origin + total / count, "std": variance.clamp_min(0).sqrt()}

    def _step(self, context: Context, index: int, x: Tensor, now: Level, level: Level) -> Tensor:
        """``x`` carried from the level ``now`` to a noisier one, by what the prior, told of the latter, sees in it."""
        prior = cast(Diffusion, context.prior)
        asked = prior.condition(torch.full((len(x),), index))
        return carried(x, guided(prior, x, level, asked, self.cfg).clean, now, level, prior.schedule.flow)

    def _together(self, context: Context) -> int:
        assert context.prior is not None
        numbers = context.ipc * torch.Size(context.prior.latent_shape).numel()
        return max(1, min(self.candidates, TOGETHER // numbers))

    def _draw(self, context: Context, index: int, number: int) -> Tensor:
        """The candidate set of this number before it is scaled, (ipc, *latent_shape) standard normal."""
        assert context.prior is not None
        stream = seeds.stream(context.seed, "inverted", index, number)
        return torch.randn(context.ipc, *context.prior.latent_shape, generator=stream)

    def _scores(self, context: Context, index: int, statistics: dict[str, Tensor], numbers: range) -> Tensor:
        mean, std = (statistics[name].float().flatten().to(context.device) for name in ("mean", "std"))
        drawn = torch.stack([self._draw(context, index, number) for number in numbers]).flatten(2).to(context.device)
        wanted = Moments(mean, std, torch.zeros_like(mean))
        return distance(of_sets(mean + std * drawn), wanted, (self.mean, self.std, self.skewness)).cpu()

    def _best(self, context: Context, index: int, statistics: dict[str, Tensor]) -> dict[str, Tensor]:
        size = self._together(context)
        parts = [range(at, min(at + size, self.candidates)) for at in range(0, self.candidates, size)]
        return {"best": torch.cat([self._scores(context, index, statistics, part) for part in parts]).argmin()}


def carried(x: Tensor, estimate: Tensor, now: Level, level: Level, flow: bool) -> Tensor:
    """``x`` moved from ``now`` to ``level`` along the direction that the clean estimate at ``level`` implies."""
    if flow:
        return x + (level.sigma - now.sigma) * (x - estimate) / level.sigma
    noise = (x - level.alpha * estimate) / level.sigma
    return level.alpha / now.alpha * (x - now.sigma * noise) + level.sigma * noise
