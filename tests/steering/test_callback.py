"""Guides in a stock pipeline's callback steer as they do in our own loop, and say where they cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import diffusers
import pytest
import torch

from gendistill.anchors.modes import Modes
from gendistill.draft import Draft
from gendistill.objectives.base import Objective
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.text_to_image import TextToImage
from gendistill.steering.callback import as_callback
from gendistill.steering.guide import Guide
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Power
from gendistill.system.store import Store
from gendistill.toys import ToyData, toy_context
from gendistill.types import LATENT, UserError
from tests.priors.tiny_pipelines import ddim, tiny

REAL = ToyData(classes=2, per_class=6, channels=3)
LABELS = [0, 1, 1]
IDS = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0]])
PULL = (
    Guide(ModePull(Modes(), weight=0.3), window=(0.2, 1.0)),
    Guide(ModePull(Modes(count=1), weight=0.1), scale=Power(1, -1), window=(0, 0.5)),
)


def call(pipe, prior, steered, steps=6, cfg=3.0, **more):
    given = prior.family.packed(prior.noise(0, IDS)[LATENT])
    return pipe(
        list(prior.prompts(IDS[:, 0])), latents=given.clone(), height=8, width=8, num_inference_steps=steps,
        guidance_scale=cfg, callback_on_step_end=steered, output_type="latent", **more,
    ).images  # fmt: skip


def setup(name, folder, **settings):
    pipe, real = tiny(name, **settings), REAL.open()
    prior = TextToImage(pipe, size=8).load(real, torch.device("cpu"), torch.float32)
    context = replace(toy_context(folder), real=real, prior=prior, store=Store(folder))
    return pipe, prior, context, Draft(prior, {}, IDS, IDS[:, 0].clone(), torch.ones(3))


def steer(pipe, prior, folder, guides=PULL, **more):
    given = prior.family.packed(prior.noise(0, IDS)[LATENT])
    return as_callback(guides, pipe, REAL, LABELS, **{"latents": given, "size": 8, "store": Store(folder), **more})


@pytest.mark.parametrize(
    ("name", "scheduler", "cfg"),
    [
        ("stable_diffusion", None, 3.0),
        ("stable_diffusion", ddim(timestep_spacing="trailing", rescale_betas_zero_snr=False), 3.0),
        ("sdxl", None, 3.0),
        ("sd3", None, 3.0),
        ("flux", None, 1.0),
    ],
)
def test_a_stock_pipeline_draws_what_our_own_loop_draws(name, scheduler, cfg, tmp_path):
    pipe, prior, context, draft = setup(name, tmp_path, **({"scheduler": scheduler} if scheduler else {}))
    more = {"guidance_scale": 3.5} if name == "flux" else {"cfg": cfg}
    cfg = more.pop("guidance_scale", cfg)
    theirs = call(pipe, prior, steer(pipe, prior, tmp_path), cfg=cfg)
    theirs = prior.family.unpacked(theirs, prior.latent_shape[-1])
    ours = Sample(steps=6, guides=PULL, **{"cfg": 1.0, **more})(draft, context).latents[LATENT]
    plain = prior.family.unpacked(call(pipe, prior, None, cfg=cfg), prior.latent_shape[-1])
    pictures = [decode(prior, {LATENT: latents}, 3) for latents in (ours, theirs, plain)]
    torch.testing.assert_close(pictures[0], pictures[1], atol=1e-4, rtol=0)
    assert float((pictures[1] - pictures[2]).abs().max()) > 0.05, "the guides did nothing"


def test_without_its_latents_the_first_step_alone_is_left(tmp_path):
    pipe, prior, context, draft = setup("stable_diffusion", tmp_path)
    first = prior.schedule.solver(None, 6).levels[0].time
    later = (Guide(ModePull(Modes(), weight=0.3), window=(0.2, first - 1e-3)),)
    theirs = call(pipe, prior, steer(pipe, prior, tmp_path, (replace(later[0], window=(0.2, 1.0)),), latents=None))
    ours = Sample(steps=6, cfg=3.0, guides=later)(draft, context).latents[LATENT]
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)


def test_a_multistep_solver_is_steered_nearly_as_our_own_loop_steers_it(tmp_path):
    scheduler = diffusers.DPMSolverMultistepScheduler.from_config(ddim().config)
    pipe, prior, context, draft = setup("stable_diffusion", tmp_path, scheduler=scheduler)
    theirs, plain = (call(pipe, prior, steered, steps=20) for steered in (steer(pipe, prior, tmp_path), None))
    ours = Sample(steps=20, cfg=3.0, guides=PULL)(draft, context).latents[LATENT]
    assert float((theirs - ours).norm()) < 0.3 * float((plain - ours).norm())


@pytest.mark.parametrize("name", ["PNDM", "EulerAncestralDiscrete", "UniPCMultistep", "HeunDiscrete"])
def test_a_solver_that_hides_the_estimate_is_refused(name, tmp_path):
    scheduler = getattr(diffusers, name + "Scheduler").from_config(ddim().config)
    pipe, prior, *_ = setup("stable_diffusion", tmp_path, scheduler=scheduler)
    with pytest.raises(UserError, match=f"{name} adds noise.*DDIMScheduler.from_config"):
        call(pipe, prior, steer(pipe, prior, tmp_path))


def test_a_guide_that_needs_the_network_is_refused(tmp_path):
    pipe, prior, *_ = setup("stable_diffusion", tmp_path)
    for guide in (Guide(ModePull(), before_cfg=True), Guide(ModePull(), gradient="denoiser")):
        with pytest.raises(UserError, match="our own loop"):
            steer(pipe, prior, tmp_path, [guide])


def test_labels_are_those_of_the_pictures_of_the_call(tmp_path):
    pipe, prior, *_ = setup("stable_diffusion", tmp_path)
    with pytest.raises(UserError, match="makes 3 pictures"):
        call(pipe, prior, as_callback(PULL, pipe, REAL, [0, 1], size=8, store=Store(tmp_path)))
    with pytest.raises(UserError, match="0 to 1"):
        as_callback(PULL, pipe, REAL, [0, 2], size=8, store=Store(tmp_path))


def test_objectives_that_ask_the_network_ask_what_the_call_asks(tmp_path):
    asked = []

    @dataclass(frozen=True)
    class Asks(Objective):
        """Remembers the conditions it is shown."""

        weight: float = 1.0

        def bind(self, context):
            return lambda synthetic: asked.append(synthetic.conditions) or synthetic.clean.flatten(1).sum(1)

    pipe, prior, *_ = setup("stable_diffusion", tmp_path)
    prompts = ["a cat", "two dogs", "a dog"]
    for given, wanted in ((prompts, prompts), (None, ["a photo of a class 0", *["a photo of a class 1"] * 2])):
        asked.clear()
        steered = steer(pipe, prior, tmp_path, [Guide(Asks())], prompts=given)
        assert steered.draft.prompts == tuple(wanted)
        call(pipe, prior, steered, steps=2)
        for name, value in prior.condition_on(wanted).values.items():
            assert torch.equal(asked[0].values[name], value)
    for wrong in (prompts[:2], "a cat"):
        with pytest.raises(UserError, match="one for each of the 3 pictures"):
            steer(pipe, prior, tmp_path, prompts=wrong)
