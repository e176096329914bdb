"""Noise levels and time stepping. Every solver is a diffusers scheduler; what it is told is always the clean estimate.

Two families of paths from clean to noise:

    variance preserving   x = sqrt(abar_t) clean + sqrt(1 - abar_t) noise      t = 0 .. T - 1, abar from the training betas
    flow                  x = (1 - s) clean + s noise                          s in [0, 1], t = s T

Most schedulers take the clean estimate as it is (``prediction_type="sample"``), some of them on either path. For the others
it is written as the quantity they step with, which loses nothing, because level, x and clean determine noise and velocity.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from gendistill.types import CLEAN, Estimate, Level, UserError

MOST_ORDER = 4
"""Answers that a linear multistep solver goes by, as diffusers has it."""


def as_sample(estimate: Tensor, x: Tensor, level: Level) -> Tensor:
    """The clean estimate itself."""
    return estimate


def as_noise(estimate: Tensor, x: Tensor, level: Level) -> Tensor:
    """The noise that ``x`` holds if ``estimate`` is right."""
    return (x - level.alpha * estimate) / level.sigma


def as_velocity(estimate: Tensor, x: Tensor, level: Level) -> Tensor:
    """D x / d s along the flow: noise - clean."""
    return (x - estimate) / level.sigma


PREDICTIONS: Mapping[Callable, str | None] = {as_sample: "sample", as_noise: "epsilon", as_velocity: None}

SOLVERS: Mapping[str, Callable[[Tensor, Tensor, Level], Tensor]] = {
    "DDIM": as_sample,
    "DDPM": as_sample,
    "DEISMultistep": as_sample,
    "DPMSolverMultistep": as_sample,
    "DPMSolverSinglestep": as_sample,
    "EulerDiscrete": as_noise,
    "EulerAncestralDiscrete": as_noise,
    "FlowMatchEulerDiscrete": as_velocity,
    "FlowMatchHeunDiscrete": as_velocity,
    "HeunDiscrete": as_noise,
    "KDPM2AncestralDiscrete": as_noise,
    "KDPM2Discrete": as_noise,
    "LCM": as_sample,
    "LMSDiscrete": as_noise,
    "PNDM": as_noise,
    "SASolver": as_sample,
    "TCD": as_sample,
    "UniPCMultistep": as_sample,
}
"""Every diffusers scheduler that can step a prior here, by its name without 'Scheduler'."""

LEAVE_NOISE = ("DEISMultistep", "SASolver")
"""Schedulers that know flows and repeat their last level in the place of 0: pictures would keep its noise."""

BETAS = (
    *("beta_start", "beta_end", "beta_schedule", "trained_betas"),
    *("num_train_timesteps", "rescale_betas_zero_snr"),
)
"""Settings that say which levels a prior was trained on."""

SPACINGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
"""Settings by which steps lie between the levels of the training."""


def steps_flows(short: str) -> bool:
    """Whether the scheduler of this name can follow a flow to its end."""
    if short in LEAVE_NOISE:
        return False
    return SOLVERS[short] is as_velocity or "use_flow_sigmas" in accepted(getattr(diffusers, short + "Scheduler"))


def accepted(function: Callable) -> Mapping[str, inspect.Parameter]:
    """The arguments a function takes."""
    return inspect.signature(function).parameters


def nothing_more(steps: int) -> Mapping[str, Any]:
    """Most pipelines tell their scheduler the number of steps and nothing else."""
    return {}


class Schedule:
    """The noise levels a prior was trained on, read from its scheduler's config."""

    def __init__(
        self, name: str, config: Mapping[str, Any], timing: Callable[[int], Mapping[str, Any]] = nothing_more
    ) -> None:
        """``name`` is the diffusers class that the checkpoint names, ``config`` its settings.

        ``timing`` gives what ``set_timesteps`` is told besides the number of steps, as far as a scheduler takes it.
        """
        self.timing = timing
        self.name = name.removesuffix("Scheduler")
        self.config = {k: v for k, v in config.items() if not k.startswith("_")}
        self.unsaid = frozenset(config.get("_use_default_values", ())) - set(BETAS)
        self.total = int(self.config.get("num_train_timesteps", 1000))
        self.flow = self.name.startswith("FlowMatch") or self.config.get("prediction_type") == "flow_prediction"
        self.abar: list[float] = []
        if not self.flow:
            betas = {k: v for k, v in self.config.items() if k in BETAS}
            self.abar = diffusers.DDIMScheduler(**betas).alphas_cumprod.double().tolist()

    def told(self, name: str) -> dict[str, Any]:
        """What a scheduler of this name is told of the checkpoint's config, as by diffusers' ``from_config``.

        Its own class has all of it. To another, what the checkpoint does not say are defaults of a class it is not: it has its
        own, but for the levels of the training.
        """
        return {k: v for k, v in self.config.items() if name == self.name or k not in self.unsaid}

    def level(self, t: float) -> Level:
        """The level at training step ``t``; between whole steps log(sigma / alpha) is interpolated."""
        if self.flow:
            return Level(1 - t / self.total, t / self.total, t / self.total)
        low = min(max(int(math.floor(t)), 0), self.total - 1)
        abar = self.abar[low]
        if t > low and low + 1 < self.total:
            ends = [0.5 * math.log((1 - a) / max(a, 1e-20)) for a in self.abar[low : low + 2]]
            abar = 1 / (1 + math.exp(2 * (ends[0] + (t - low) * (ends[1] - ends[0]))))
        return Level(math.sqrt(abar), math.sqrt(1 - abar), t / self.total)

    def levels(self, t: Tensor) -> Level:
        """The levels at whole training steps ``t``, one per picture: tensors (n,) on the device of ``t``."""
        if self.flow:
            share = t.float() / self.total
            return Level(1 - share, share, share)
        abar = torch.tensor(self.abar, device=t.device, dtype=torch.float64)[t.long()]
        return Level(abar.sqrt().float(), (1 - abar).sqrt().float(), t.float() / self.total)

    def solver(self, name: str | None, steps: int, eta: float = 0.0) -> Solver:
        """A solver of ``steps`` steps. ``name`` is a diffusers scheduler, None the checkpoint's own."""
        return Solver(self, (name or self.name).removesuffix("Scheduler"), steps, eta)


def check_solver(name: str | None, flow: bool | None = None) -> None:
    """Raise `UserError` unless ``name`` is a scheduler that works here (and, if ``flow`` is known, for such a prior)."""
    if name is None:
        return
    short = name.removesuffix("Scheduler")
    if short not in SOLVERS:
        near = difflib.get_close_matches(short, SOLVERS, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UserError(
            f"no scheduler {name!r} that can step a prior here; {hint}There are {', '.join(sorted(SOLVERS))}"
        )
    if flow is not None and not (steps_flows(short) if flow else SOLVERS[short] is not as_velocity):
        kind = "flow matching" if flow else "variance preserving diffusion"
        why = " (it ends above level 0, so that pictures would keep noise)" if short in LEAVE_NOISE else ""
        raise UserError(
            f"{name} cannot step this prior, which was trained by {kind}{why}; "
            f"{'FlowMatchEulerDiscrete or DPMSolverMultistep' if flow else 'DDIM or DPMSolverMultistep'} can"
        )


class Solver:
    """A diffusers scheduler set up for a number of steps, told the clean estimate at every one.

    name     of the scheduler
    levels   the noise level before each step, noisiest first
    entries  the steps that a latent of their level may come in at: the first half of one, and of two at one level the second
    """

    def __init__(self, schedule: Schedule, name: str, steps: int, eta: float) -> None:
        """Build the scheduler from the prior's own config, so that its betas are the trained ones.

        Raises:
            UserError: it cannot step this prior, or not in so many steps.
        """
        check_solver(name, schedule.flow)
        self.name = name
        self.encode = SOLVERS[name]
        kind = getattr(diffusers, name + "Scheduler")
        config = {**schedule.told(name), "clip_sample": False, "thresholding": False}
        config["prediction_type"] = PREDICTIONS[self.encode]
        # Runge-Kutta warm-up steps cannot be entered half-way; the last step of a multistep solver must not extrapolate.
        config.update(skip_prk_steps=True, lower_order_final=True)
        if schedule.flow:  # schedulers of the two kinds call the same shift by two names
            shift = config.get("flow_shift", config.get("shift", 1.0))
            config.update(use_flow_sigmas=True, flow_shift=shift, shift=shift)
        learned = str(config.get("variance_type", "")).startswith("learned")
        self.learned_variance = learned and name == "DDPM"
        if learned and not self.learned_variance:
            del config["variance_type"]
        known = accepted(kind)
        self.scheduler = kind(**{key: value for key, value in config.items() if key in known})
        self._set_steps(name, steps, schedule.timing(steps))
        self.steps = [float(t) for t in self.scheduler.timesteps]
        self.levels = self._levels(schedule)
        last = len(self.levels) - 1
        self.entries = [
            index
            for index in range(0, last + 1, self.scheduler.order)
            if index in (0, last) or self.levels[index] != self.levels[index + 1]
        ]
        self.first = 0
        # Schedulers that step in sigma space hold x / alpha; the network always sees x itself.
        self.exploding = not schedule.flow and float(self.scheduler.init_noise_sigma) != 1.0
        takes = accepted(self.scheduler.step)
        self.takes_generator = "generator" in takes
        self.takes_order, self.warms_up = "order" in takes, name == "PNDM"
        if eta and "eta" not in takes:
            raise UserError(f"eta={eta}: {name} adds its own noise or none; DDIM takes one, or leave it out")
        self.extra = {"eta": eta} if "eta" in takes else {}

    def _set_steps(self, name: str, steps: int, timing: Mapping[str, Any]) -> None:
        takes = accepted(self.scheduler.set_timesteps)
        if "mu" in timing and "mu" not in takes:
            raise UserError(
                f"{name} cannot shift its levels by the size of the pictures, as this prior needs; FlowMatchEulerDiscrete or "
                "DPMSolverMultistep can"
            )
        told = {key: value for key, value in timing.items() if key in takes}
        try:
            # Its steps look at their times: on a GPU they would wait for it.
            self.scheduler.set_timesteps(steps, device="cpu", **told)
            if not self.scheduler.timesteps.isfinite().all():
                raise ValueError("its times are no numbers")
        except ValueError as error:
            raise UserError(
                f"{name} does not take steps={steps} here: give fewer, or another scheduler such as DDIM ({error})"
            ) from error

    def _levels(self, schedule: Schedule) -> list[Level]:
        """The level of each step: what a scheduler calls its steps may be rounded, what it steps by is not."""
        levels = [schedule.level(t) for t in self.steps]
        if schedule.flow:
            pairs = zip(self.scheduler.sigmas.tolist(), levels, strict=False)
            return [Level(1 - sigma, sigma, level.time) for sigma, level in pairs]
        if any(self.scheduler.config.get(name) for name in SPACINGS):
            # Midpoints have sigmas of their own, and times that are not rounded.
            every = self.scheduler.order if hasattr(self.scheduler, "sigmas_interpol") else 1
            for index in range(0, len(levels), every):
                ratio = float(self.scheduler.sigmas[index])
                alpha = 1 / math.sqrt(1 + ratio**2)
                levels[index] = Level(alpha, ratio * alpha, levels[index].time)
        return levels

    def after(self, index: int) -> Level:
        """The next level below that of step ``index``: some solvers take two steps at one."""
        alpha = self.levels[index].alpha
        return next((level for level in self.levels[index + 1 :] if level.alpha > alpha), CLEAN)

    def enter(self, x: Tensor, index: int) -> Tensor:
        """The scheduler's own variable for a latent ``x`` at the level of step ``index``; steps go on from there."""
        self.first = index
        begin = getattr(self.scheduler, "set_begin_index", None)
        if begin is not None:
            begin(index)
        return x / self.levels[index].alpha if self.exploding else x

    def network_input(self, x: Tensor, index: int) -> Tensor:
        """What the network sees: the latent at the level of step ``index``, with the variance it was trained on."""
        if self.encode is as_velocity:
            return x
        return self.scheduler.scale_model_input(x, self.scheduler.timesteps[index])

    def step(
        self, estimate: Estimate, seen: Tensor, x: Tensor, index: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """The scheduler's variable after step ``index``, given the estimate made from ``seen``."""
        answer = self.encode(estimate.clean, seen, self.levels[index])
        if self.learned_variance and estimate.log_variance is not None:
            answer = torch.cat([answer, estimate.log_variance], dim=1)
        extra = {**self.extra, "generator": list(generators)} if self.takes_generator else dict(self.extra)
        if self.takes_order:  # no more than it has seen, which it reckons from its very first step
            extra["order"] = min(index - self.first + 1, MOST_ORDER)
        if self.warms_up and self.first and not self.scheduler.ets:
            # It warms up by taking its very first step twice: later, as if the answer before had been the same.
            self.scheduler.ets, self.scheduler.counter = [answer], 2
        return self.scheduler.step(answer, self.scheduler.timesteps[index], x, **extra).prev_sample
