"""Solvers are told levels that are those of the latents, wherever they come in; settings are those diffusers would take."""

from __future__ import annotations

import diffusers
import pytest
import torch

from gendistill.priors.schedule import SOLVERS, Schedule, as_velocity, steps_flows
from gendistill.priors.training.denoiser import noise_schedule
from gendistill.types import Estimate, UserError

SD = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "skip_prk_steps": True,
}
RANDOM = ("DDPM", "EulerAncestralDiscrete", "KDPM2AncestralDiscrete", "LCM", "SASolver", "TCD")
DETERMINISTIC = [name for name in SOLVERS if name not in RANDOM]
FLOW = Schedule("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 3.0})
CLEAN, NOISE = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def published(name="PNDM", **more):
    """As a checkpoint that names these settings alone."""
    kind = getattr(diffusers, name + "Scheduler")
    return Schedule(name + "Scheduler", kind.from_config({**SD, **more}).config)


def walk(solver, first):
    """What the network finds in the latent beside the clean one, in units of the level's noise; and where the walk ends."""
    level, dice, found = solver.levels[first], [torch.Generator().manual_seed(0)], []
    x = solver.enter(level.alpha * CLEAN + level.sigma * NOISE, first)
    for index in range(first, len(solver.levels)):
        seen, level = solver.network_input(x, index), solver.levels[index]
        found.append((seen - level.alpha * CLEAN) / level.sigma)
        x = solver.step(Estimate(CLEAN), seen, x, index, dice)
    return found, x


@pytest.mark.parametrize("place", [0, 1, 8])
@pytest.mark.parametrize(
    ("schedule", "name"),
    [("usual", name) for name in DETERMINISTIC if SOLVERS[name] is not as_velocity]
    + [("karras", name) for name in ("DPMSolverMultistep", "UniPCMultistep", "HeunDiscrete", "KDPM2Discrete")]
    + [("flow", name) for name in DETERMINISTIC if steps_flows(name)],
)
def test_the_network_is_told_the_level_of_what_it_sees(schedule, name, place):
    made = {"flow": lambda: FLOW, "usual": published}.get(schedule, lambda: published(name, use_karras_sigmas=True))()
    solver = made.solver(name, 20)
    found, _ = walk(solver, solver.entries[place])
    for noise in found:
        torch.testing.assert_close(noise, NOISE, atol=5e-3, rtol=0)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_flow_ends_at_the_clean_estimate_or_is_refused(name):
    try:
        solver = FLOW.solver(name, 20)
    except UserError as error:
        known = SOLVERS[name] is not as_velocity
        assert known and "FlowMatchEulerDiscrete or DPMSolverMultistep can" in str(error)
        assert ("would keep noise" in str(error)) == (name in ("DEISMultistep", "SASolver"))
        return
    torch.testing.assert_close(walk(solver, 0)[1], CLEAN, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "name", ["DPMSolverMultistep", "UniPCMultistep", "EulerDiscrete", "HeunDiscrete", "DDIM", "PNDM"]
)
def test_another_solver_keeps_its_own_defaults(name):
    stock = getattr(diffusers, name + "Scheduler").from_config(diffusers.PNDMScheduler.from_config(SD).config)
    stock.set_timesteps(10)
    assert published().solver(name, 10).steps == stock.timesteps.tolist()


def test_the_levels_of_the_training_are_no_default():
    trained = Schedule("DDIMScheduler", diffusers.DDIMScheduler().config)
    assert diffusers.LCMScheduler().config["beta_start"] != 0.0001
    assert trained.solver("LCM", 4).scheduler.config["beta_start"] == 0.0001


def test_what_a_folder_says_is_taken_by_every_solver(tmp_path):
    noise_schedule().save_pretrained(tmp_path)
    schedule = Schedule("DDIMScheduler", diffusers.DDIMScheduler.from_pretrained(tmp_path).config)
    for name in ("DDIM", "DDPM", "DPMSolverMultistep"):
        assert schedule.solver(name, 4).steps == [999, 749, 499, 249]


def test_a_shift_by_size_is_not_forgotten():
    told = {"num_train_timesteps": 1000, "use_dynamic_shifting": True, "time_shift_type": "exponential"}
    schedule = Schedule("FlowMatchEulerDiscreteScheduler", told, lambda steps: {"mu": 1.0})
    plain = Schedule("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000})
    for name in (None, "DPMSolverMultistep"):
        assert schedule.solver(name, 4).levels[2].sigma > plain.solver(name, 4).levels[2].sigma + 0.1
    with pytest.raises(UserError, match="FlowMatchHeunDiscrete cannot shift.*FlowMatchEulerDiscrete"):
        schedule.solver("FlowMatchHeunDiscrete", 4)
