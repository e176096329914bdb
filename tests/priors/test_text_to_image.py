"""Every family of text-to-image pipelines samples as the stock pipeline does, gives gradients, and refuses what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import diffusers
import pytest
import torch
from huggingface_hub.errors import GatedRepoError
from safetensors.torch import load_file, save_file

from gendistill import seeds
from gendistill.anchors.modes import Modes
from gendistill.capabilities import Prompted
from gendistill.config.overrides import read_value
from gendistill.draft import Draft
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.families.base import families
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.parameters import Everything
from gendistill.priors.small_decoder import as_decoder, load_decoder
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe, as_prior
from gendistill.running.distill import distill
from gendistill.steering.conditioning import LabelMix
from gendistill.steering.finetune import FineTune
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.toys import ToyData, toy_context
from gendistill.types import LATENT, UserError
from tests.priors.test_latent_diffusion import pipeline as dit
from tests.priors.test_latent_diffusion import tiny as small
from tests.priors.tiny_pipelines import BUILDERS, ddim, tiny

CPU = torch.device("cpu")
CFG = {"turbo": 1.0, "flux": 1.0, "consistency": 1.0}
"""Networks that guidance was distilled into ask for none."""
TOLD = {"flux": 4.0, "consistency": 6.0}
"""And some are told how much."""
STOCK = {"clean_caption": False, "use_resolution_binning": False}
IDS = torch.tensor([[0, 0, 0], [1, 0, 0]])


def settings(name, pipe=None, **more):
    long = {} if name in ("stable_diffusion", "consistency", "sdxl", "turbo") else {"max_sequence_length": 40}
    usual = {"size": side(name), "guidance": TOLD.get(name), "prompts": Prompts(negative="bad"), **long}
    return TextToImage(pipe or tiny(name), **{**usual, **more})


def side(name):
    return 32 if name == "sana" else 8


def data(name="stable_diffusion", **more):
    return ToyData(**{"classes": 2, "per_class": 4, "size": side(name), "channels": 3, **more}).open()


@cache
def loaded(name):
    given, real = settings(name), data(name)
    given.check(real)
    return given.load(real, CPU, torch.float32)


def placed(name, folder, prior=None):
    prior, real = prior or loaded(name), data(name)
    context = replace(toy_context(folder), real=real, prior=prior)
    return context, Draft(prior, {}, IDS, IDS[:, 0].clone(), torch.ones(2))


def stock(name, pipe, prior, steps=4):
    noise = prior.noise(0, IDS)[LATENT]
    more = STOCK if name in ("pixart", "pixart_sigma", "sana") else {}
    if prior.family.most:
        more = {**more, "max_sequence_length": prior.family.most}
    if name not in ("flux", "consistency"):
        more = {**more, "negative_prompt": ["bad", "bad"]}
    if name in ("turbo", "consistency"):
        more = {**more, "generator": seeds.streams(IDS, 0, "sample", 0)}
    return pipe(
        list(prior.prompts(IDS[:, 0])), latents=prior.family.packed(noise), height=side(name), width=side(name),
        guidance_scale=TOLD.get(name, CFG.get(name, 3.0)), num_inference_steps=steps, output_type="latent", **more,
    ).images  # fmt: skip


@pytest.mark.parametrize("name", BUILDERS)
def test_samples_as_the_stock_pipeline_does(name, tmp_path):
    pipe, prior = tiny(name), loaded(name)
    context, draft = placed(name, tmp_path)
    ours = Sample(steps=4, cfg=CFG.get(name, 3.0))(draft, context).latents[LATENT]
    theirs = prior.family.unpacked(stock(name, pipe, prior), prior.latent_shape[-1])
    scale = float(theirs.abs().max().clamp_min(1))
    torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)
    assert float(theirs.std()) > 0.1


@pytest.mark.parametrize("name", ["PNDM", "DPMSolverMultistep", "EulerAncestralDiscrete"])
def test_other_schedulers_too(name, tmp_path):
    kind = getattr(diffusers, name + "Scheduler")
    more = {"skip_prk_steps": True} if name == "PNDM" else {}
    pipe = tiny("stable_diffusion", scheduler=kind.from_config(ddim().config, **more))
    prior = settings("stable_diffusion", pipe).load(data(), CPU, torch.float32)
    context, draft = placed("stable_diffusion", tmp_path, prior)
    ours = Sample(steps=5, cfg=3.0)(draft, context).latents[LATENT]
    generators = seeds.streams(IDS, 0, "sample", 0)
    theirs = pipe(
        list(prior.prompts(IDS[:, 0])), latents=prior.noise(0, IDS)[LATENT], height=8, width=8, guidance_scale=3.0,
        negative_prompt=["bad", "bad"], num_inference_steps=5, output_type="latent", generator=generators,
    ).images  # fmt: skip
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_velocity_is_a_head_too(tmp_path):
    pipe = tiny("stable_diffusion", scheduler=ddim(prediction_type="v_prediction"))
    prior = settings("stable_diffusion", pipe).load(data(), CPU, torch.float32)
    context, draft = placed("stable_diffusion", tmp_path, prior)
    ours = Sample(steps=4, cfg=3.0)(draft, context).latents[LATENT]
    torch.testing.assert_close(ours, stock("stable_diffusion", pipe, prior), atol=1e-4, rtol=1e-5)


def test_a_flow_is_stepped_by_any_scheduler_that_can(tmp_path):
    context, draft = placed("sd3", tmp_path)
    euler, many = (
        Sample(steps=steps, cfg=1.0, scheduler=scheduler)(draft, context).latents[LATENT]
        for scheduler, steps in ((None, 200), ("DPMSolverMultistep", 40))
    )
    torch.testing.assert_close(euler, many, atol=0.05, rtol=0)
    with pytest.raises(UserError, match="flow matching"):
        Sample(steps=4, scheduler="DDIM")(draft, context)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_gradient_goes_from_the_picture_to_the_noisy_latent_and_the_prompt(name):
    prior = loaded(name)
    x = prior.noise(0, IDS)[LATENT].requires_grad_()
    conditions = prior.embed(prior.condition(IDS[:, 0]))
    text = conditions.values["text"].requires_grad_()
    estimate = prior.denoise(x, prior.schedule.level(600), conditions)
    pixels = prior.decode({LATENT: estimate.clean})
    assert pixels.shape == (2, 3, side(name), side(name)) and estimate.clean.dtype == torch.float32
    pixels.square().sum().backward()
    assert x.grad is not None and bool((x.grad.flatten(1) != 0).any(1).all())
    assert text.grad is not None and bool(text.grad.any())


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_holds_it_all(name, tmp_path):
    prior = loaded(name)
    prior.save(tmp_path)
    assert type(diffusers.DiffusionPipeline.from_pretrained(tmp_path)).__name__ in prior.family.pipelines
    given = replace(settings(name), source=str(tmp_path))
    given.check(data(name))
    again = given.load(data(name), CPU, torch.float32)
    assert again.fingerprint == prior.fingerprint and prior.reload(tmp_path).fingerprint == prior.fingerprint
    x, level = prior.noise(0, IDS)[LATENT], prior.schedule.level(600)
    ours, theirs = (one.denoise(x, level, one.condition(IDS[:, 0])).clean for one in (prior, again))
    assert torch.equal(ours, theirs)


def test_a_reloaded_prior_holds_no_network_of_the_one_before(tmp_path):
    prior = loaded("stable_diffusion")
    prior.save(tmp_path)
    again = prior.reload(tmp_path)
    assert again.pipe.unet is again.denoiser is not prior.denoiser and again.family.pipe is again.pipe
    assert prior.pipe.unet is prior.denoiser and prior.family.pipe is prior.pipe
    assert again.pipe.text_encoder is prior.pipe.text_encoder


def test_options_go_straight_to_diffusers(tmp_path, monkeypatch):
    tiny("stable_diffusion").save_pretrained(tmp_path, variant="other")
    given = TextToImage(str(tmp_path), variant="other", load_options={"low_cpu_mem_usage": False})
    assert given == TextToImage(str(tmp_path), variant="other", load_options=(("low_cpu_mem_usage", False),))
    assert read_value(repr(given)) == given and hash(given) == hash(read_value(repr(given)))
    prior = given.load(data(), CPU, torch.float32)
    plain = replace(given, load_options=()).load(data(), CPU, torch.float32)
    assert prior.fingerprint == plain.fingerprint
    with pytest.raises(UserError, match="does not load"):
        replace(given, variant=None, load_options=()).load(data(), CPU, torch.float32)
    told, kind = {}, diffusers.StableDiffusionPipeline
    make = kind.from_pretrained
    monkeypatch.setattr(kind, "from_pretrained", lambda source, **more: told.update(more) or make(source, **more))
    given.load(data(), CPU, torch.bfloat16)
    assert told == {"dtype": torch.bfloat16, "variant": "other", "revision": None, "low_cpu_mem_usage": False,
                    "safety_checker": None, "requires_safety_checker": False}  # fmt: skip


def test_a_small_decoder_shows_pictures_at_the_size_of_the_data(tmp_path):
    prior = settings("stable_diffusion").load(data(size=16), CPU, torch.float32)
    context = replace(placed("stable_diffusion", tmp_path, prior)[0], real=data(size=16))
    decode = load_decoder(as_decoder(small(channels=3)), context)
    assert decode(prior.noise(0, IDS)).shape == (2, 3, 16, 16)


def test_every_family_has_a_tiny_pipeline_here():
    tested = {type(tiny(name)).__name__ for name in BUILDERS}
    assert tested == {pipeline for family in families() for pipeline in family.pipelines}


def test_the_prompt_is_what_is_drawn_and_it_is_encoded_once(monkeypatch):
    prior = settings("stable_diffusion").load(data(), CPU, torch.float32)
    asked = []
    make = prior.family.encode
    monkeypatch.setattr(prior.family, "encode", lambda prompt, device: asked.append(prompt) or make(prompt, device))
    assert isinstance(prior, Prompted)
    labels = torch.tensor([0, 1, 0, 1])
    conditions = prior.condition(labels)
    prior.condition(labels)
    assert asked == ["a photo of a class 0", "a photo of a class 1", "bad"]
    assert torch.equal(conditions.values["text"][0], conditions.values["text"][2])
    assert torch.equal(prior.condition_on(["bad"]).values["text"][0], conditions.null["text"][0])
    other = prior.condition_on(["a cat", "a dog"], negative="")
    assert not torch.equal(other.null["text"], conditions.null["text"][:2])


def test_templates_take_turns_by_slot(tmp_path):
    prompts = Prompts(("{name}", "a drawing of {name}"), overrides={"class 1": "a horse"})
    prior = settings("stable_diffusion", prompts=prompts).load(data(), CPU, torch.float32)
    slots = torch.tensor([0, 1, 2, 1])
    assert prior.prompts(torch.tensor([0, 0, 0, 1]), slots) == ("class 0", "a drawing of class 0", "class 0", "a horse")
    context, _ = placed("stable_diffusion", tmp_path, prior)
    ids = torch.tensor([[0, 0, 0], [0, 1, 0]])
    draft = Draft(prior, {}, ids, ids[:, 0].clone(), torch.ones(2))
    asked = Sample(steps=1)(draft, context).conditions
    assert torch.equal(asked.values["text"][1], prior.condition_on(["a drawing of class 0"]).values["text"][0])


def test_pictures_are_brought_to_the_size_that_is_drawn_and_back(tmp_path):
    real = data(size=16)
    given = settings("stable_diffusion")
    given.check(real)
    prior = given.load(real, CPU, torch.float32)
    pixels = real.train.pixels([0, 1])
    latent = prior.encode(pixels)
    assert latent.shape == (2, 4, 4, 4) and prior.decode({LATENT: latent}).shape == (2, 3, 16, 16)
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(prior.encode(flat), prior.encode(flat[..., :8, :8]))
    with pytest.raises(UserError, match="size=8 in the prior"):
        replace(given, size=None).check(real)


@pytest.mark.parametrize("name", ["stable_diffusion", "pixart_sigma"])
def test_steering_works_unchanged(name, tmp_path):
    pull = Guide(ModePull(Modes(count=1), weight=0.3))
    steering = (
        FineTune(parameters=Everything(), max_train_steps=1, batch=2, learning_rate=1e-4),
        Start(Modes()),
        Sample(steps=4, strength=0.5, cfg=2.0, guides=(pull,), conditioning=LabelMix(), scheduler="DDIM"),
        Optimize(
            (ModePull(Modes(count=1)),), steps=1, variables=("latent", "condition"), through=Sample(steps=2, cfg=1.0)
        ),
    )
    given = settings(name, size=None) if name == "stable_diffusion" else settings(name)
    recipe = Recipe(real=ToyData(classes=2, per_class=4, channels=3), prior=given, steering=steering, ipc=2, block=2)
    made = distill(recipe, tmp_path)
    assert made.images.stored(range(4)).shape == (4, 3, 8, 8)
    assert "text_to_image" not in repr(recipe) and "Prompts(negative='bad')" not in repr(recipe)


def test_a_loaded_pipeline_is_taken_where_a_prior_is():
    assert isinstance(as_prior(tiny("stable_diffusion")), TextToImage) and isinstance(as_prior(dit()), LatentDiffusion)


def test_half_precision_runs_networks_alone_and_leaves_the_users_own_as_they_are():
    pipe = tiny("stable_diffusion")
    prior = settings("stable_diffusion", pipe, dtype="bfloat16").load(data(), CPU, torch.float32)
    estimate = prior.denoise(prior.noise(0, IDS)[LATENT], prior.schedule.level(900), prior.condition(IDS[:, 0]))
    assert estimate.clean.dtype == torch.float32 == prior.vae.dtype
    assert prior.denoiser.dtype == prior.pipe.text_encoder.dtype == torch.bfloat16
    assert pipe.unet.dtype == pipe.text_encoder.dtype == torch.float32 and pipe.unet is not prior.pipe.unet


# what does not fit


def test_a_prompt_that_would_be_cut_is_refused():
    long = settings("stable_diffusion", prompts=Prompts("a photo of {name}" + " and more" * 10))
    with pytest.raises(
        UserError, match=r"'a photo of class 0 and more.*has 86 tokens for tokenizer \(CLIP\), which takes 77"
    ):
        long.check(data())
    with pytest.raises(UserError, match="takes 77"):
        loaded("stable_diffusion").condition_on(["z" * 76])
    assert len(loaded("stable_diffusion").condition_on(["z" * 75]).values["text"]) == 1
    with pytest.raises(UserError, match=r"tokens for tokenizer_3 \(T5\), which takes 8"):
        settings("sd3", max_sequence_length=8).check(data())
    with pytest.raises(UserError, match=r"21 tokens for tokenizer \(Gemma\), which takes 20"):
        settings("sana", max_sequence_length=20, prompts=Prompts("a {name} on a bed.")).check(data("sana"))


def test_a_pipeline_of_another_kind_is_refused():
    with pytest.raises(UserError, match="LatentDiffusion.*StableDiffusionPipeline"):
        TextToImage(dit()).check(data())


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(UserError, match="model_index.json"):
        TextToImage(str(tmp_path)).check(data())
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(UserError, match="KandinskyPipeline, which cannot be steered.*FluxPipeline"):
        TextToImage(str(tmp_path)).check(data())


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")
def test_a_hub_id_that_is_not_there_is_answered_with_what_to_do_offline():
    with pytest.raises(UserError, match="(?s)'nobody/nothing'.*Without a network.*hf download nobody/nothing"):
        TextToImage("nobody/nothing").check(data())


def test_a_gated_hub_id_is_answered_with_how_to_get_in(monkeypatch):
    def gated(*args, **more):
        try:
            raise GatedRepoError("403", response=_Response())
        except GatedRepoError:
            raise OSError("is not a valid model identifier") from None

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", gated)
    with pytest.raises(UserError, match="gated: accept its terms at https://huggingface.co/some/gated.*hf auth login"):
        TextToImage("some/gated").check(data())


class _Response:
    headers, request, status_code = {}, None, 403


@pytest.mark.parametrize(
    ("given", "real", "says"),
    [
        ({}, {"channels": 1}, "set channels=3 in `real`"),
        ({"size": 9}, {}, "multiples of 2 px; its own size is 8"),
        ({"guidance": 3.0}, {}, "the cfg of Sample"),
        ({"prompts": Prompts(overrides={"class 7": "a cat"})}, {}, "'class 7', which is none of the classes"),
        ({"prompts": Prompts(overrides={"class 0": "a photo of a class 1"})}, {}, "the same prompt"),
    ],
)
def test_data_and_settings_that_do_not_fit_are_refused(given, real, says):
    with pytest.raises(UserError, match=says):
        settings("stable_diffusion", **given).check(data(**real))


def test_a_network_that_needs_more_than_a_prompt_is_refused():
    with pytest.raises(UserError, match="takes 9 channels.*makes 4"):
        settings("stable_diffusion", tiny("stable_diffusion", in_channels=9)).check(data())


def test_a_transformer_has_only_so_many_positions():
    with pytest.raises(UserError, match="size=64.*at most 32 px"):
        settings("sd3", size=64).check(data())


@pytest.mark.parametrize("damage", ["missing", "left over"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    tiny("stable_diffusion").save_pretrained(tmp_path)
    file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights = {**weights, "extra": torch.zeros(1)} if damage == "left over" else dict(list(weights.items())[1:])
    save_file(weights, file)
    with pytest.raises(UserError, match="the unet of"):
        TextToImage(str(tmp_path)).load(data(), CPU, torch.float32)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"size": 0}, "size=0"), ({"variant": "fp16"}, "loaded"), ({"load_options": {"device_map": "cpu"}}, "loaded")],
)
def test_wrong_settings_are_refused_at_construction(wrong, says):
    with pytest.raises(UserError, match=says):
        TextToImage(tiny("stable_diffusion"), **wrong)
