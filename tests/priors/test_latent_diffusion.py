"""Any stock class-conditional pipeline loads, answers with the clean latent, and refuses what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from gendistill.draft import Draft
from gendistill.images import StoredImages
from gendistill.priors.heads import from_flow, from_noise, from_sample, from_velocity
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe, as_prior
from gendistill.running.distill import distill
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.toys import toy_context
from gendistill.types import LATENT, Class, Level, RealData, UserError

NAMES = ("cat", "dog", "owl")
CPU = torch.device("cpu")


def kl(channels=1):
    return diffusers.AutoencoderKL(
        in_channels=channels, out_channels=channels, block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.5,
    )  # fmt: skip


def tiny(channels=1):
    return diffusers.AutoencoderTiny(
        in_channels=channels, out_channels=channels, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=4, upsampling_scaling_factor=2,
    )  # fmt: skip


def dc(channels=1):
    return diffusers.AutoencoderDC(
        in_channels=channels, latent_channels=4, attention_head_dim=4, encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        encoder_block_types="ResBlock", decoder_block_types="ResBlock", encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()), scaling_factor=0.7,
    )  # fmt: skip


def pipeline(vae=None, scheduler=None, learned=False, names=NAMES):
    torch.manual_seed(0)
    denoiser = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8 if learned else 4, num_layers=1, sample_size=4,
        patch_size=2, num_embeds_ada_norm=1000,
    )  # fmt: skip
    pipe = diffusers.DiTPipeline(denoiser, vae or kl(), scheduler or diffusers.DDIMScheduler(clip_sample=False))
    pipe.register_to_config(id2label={str(i): name for i, name in enumerate(names)} or None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def data(size=8, channels=1, names=NAMES):
    dice = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (6, channels, size, size), generator=dice, dtype=torch.uint8)
    images = StoredImages([Class(name) for name in names], torch.arange(6) % len(names), stored)
    return RealData("animals", images, lambda: images)


@pytest.fixture
def folder(tmp_path):
    pipeline().save_pretrained(tmp_path / "prior")
    return tmp_path / "prior"


@pytest.mark.parametrize("vae", [kl, tiny, dc])
def test_every_autoencoder_encodes_decodes_and_survives_a_folder(vae, tmp_path):
    pipeline(vae()).save_pretrained(tmp_path)
    given, loaded = LatentDiffusion(pipeline(vae())), LatentDiffusion(str(tmp_path))
    loaded.check(data())
    prior = loaded.load(data(), CPU, torch.float32)
    pixels = data().train.pixels([0, 1])
    latent = prior.encode(pixels)
    assert latent.shape == (2, *prior.latent_shape) == (2, 4, 4, 4)
    assert prior.decode({LATENT: latent}).shape == pixels.shape
    assert given.load(data(), CPU, torch.float32).latent_shape == prior.latent_shape


def test_the_latent_scale_is_applied_once_each_way():
    prior = LatentDiffusion(pipeline()).load(data(), CPU, torch.float32)
    pixels = data().train.pixels([0])
    raw = prior.vae.encode(pixels * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(prior.encode(pixels), raw * 0.5)
    torch.testing.assert_close(prior.decode({LATENT: raw * 0.5}), prior.vae.decode(raw).sample / 2 + 0.5)


def test_every_head_gives_back_the_clean_latent():
    level, clean, noise = Level(0.6, 0.8, 0.5), torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    x = 0.6 * clean + 0.8 * noise
    torch.testing.assert_close(from_noise(noise, x, level), clean)
    torch.testing.assert_close(from_velocity(0.6 * noise - 0.8 * clean, x, level), clean)
    torch.testing.assert_close(from_sample(clean, x, level), clean)
    flow = Level(0.2, 0.8, 0.8)
    torch.testing.assert_close(from_flow(noise - clean, 0.2 * clean + 0.8 * noise, flow), clean)


def test_levels_may_differ_from_picture_to_picture():
    prior = LatentDiffusion(pipeline()).load(data(), CPU, torch.float32)
    x, conditions = torch.randn(2, 4, 4, 4), prior.condition(torch.tensor([0, 2]))
    levels = prior.schedule.levels(torch.tensor([100, 700]))
    together = prior.denoise(x, levels, conditions).clean
    for i, t in enumerate((100, 700)):
        alone = prior.denoise(x[i : i + 1], prior.schedule.level(t), conditions[slice(i, i + 1)]).clean
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scheduler", ["DDIM", "DPMSolverMultistep"])
def test_equals_stock_diffusers(scheduler, tmp_path, monkeypatch):
    stock = pipeline()
    stock.scheduler = getattr(diffusers, scheduler + "Scheduler").from_config(stock.scheduler.config)
    prior = LatentDiffusion(stock).load(data(), CPU, torch.float32)
    ids = torch.tensor([[0, 0, 0], [2, 1, 0]])
    noise = prior.noise(0, ids)[LATENT]
    monkeypatch.setattr(diffusers.pipelines.dit.pipeline_dit, "randn_tensor", lambda *a, **k: noise.clone())
    theirs = stock([0, 2], guidance_scale=3.0, num_inference_steps=7, output_type="pt").images
    context = replace(toy_context(tmp_path), prior=prior)
    draft = Draft(prior, {}, ids, ids[:, 0].clone(), torch.ones(2))
    latents = Sample(steps=7, cfg=3.0, scheduler=scheduler)(draft, context).latents
    torch.testing.assert_close(decode(prior, latents, 2).clamp(0, 1), theirs, atol=1e-4, rtol=0)


def test_guiding_three_channels_leaves_the_fourth_to_the_condition(tmp_path):
    prior = LatentDiffusion(pipeline(), cfg_channels=3).load(data(), CPU, torch.float32)
    context = replace(toy_context(tmp_path), prior=prior, real=data())
    ids = torch.tensor([[1, 0, 0]])
    draft = Draft(prior, {}, ids, ids[:, 0], torch.ones(1))
    guided, plain = (  # one step of DDIM ends at the clean estimate
        Sample(steps=1, cfg=cfg, scheduler="DDIM")(draft, context).latents[LATENT] for cfg in (5.0, 1.0)
    )
    torch.testing.assert_close(guided[:, 3], plain[:, 3])
    assert not torch.allclose(guided[:, :3], plain[:, :3])


def test_a_learned_variance_reaches_ddpm(tmp_path):
    scheduler = diffusers.DDPMScheduler(clip_sample=False, variance_type="learned_range")
    prior = LatentDiffusion(pipeline(scheduler=scheduler, learned=True)).load(data(), CPU, torch.float32)
    estimate = prior.denoise(torch.randn(2, 4, 4, 4), prior.schedule.level(500), prior.condition(torch.tensor([0, 1])))
    assert estimate.log_variance is not None and estimate.log_variance.shape == estimate.clean.shape
    assert prior.schedule.solver("DDPM", 4).learned_variance
    recipe = Recipe(real=_Source(data()), prior=LatentDiffusion(pipeline(scheduler=scheduler, learned=True)),
                    steering=(Sample(steps=4),), ipc=1, block=1)  # fmt: skip
    assert len(distill(recipe, tmp_path / "out").images) == 3


def test_a_denoiser_that_predicts_its_variance_is_sampled_with_it():
    """The public DiT comes with a DDIM scheduler, whose config has no word on the variance."""
    known = diffusers.DDPMScheduler(clip_sample=False, variance_type="learned_range")
    plain, learned, said = (
        LatentDiffusion(given).load(data(), CPU, torch.float32)
        for given in (pipeline(), pipeline(learned=True), pipeline(scheduler=known, learned=True))
    )

    def learns(prior, name):
        return prior.schedule.solver(name, 4).learned_variance

    assert [learns(prior, "DDPM") for prior in (plain, learned, said)] == [False, True, True]
    assert not learns(learned, "DDIM")
    fixed = diffusers.DDPMScheduler(clip_sample=False, variance_type="fixed_small")
    asked = LatentDiffusion(pipeline(scheduler=fixed, learned=True)).load(data(), CPU, torch.float32)
    assert not learns(asked, "DDPM")


def test_a_flow_prior_samples_with_a_flow_scheduler(tmp_path):
    recipe = Recipe(real=_Source(data()), prior=LatentDiffusion(pipeline(scheduler=diffusers.FlowMatchEulerDiscreteScheduler())),
                    steering=(Sample(steps=4),), ipc=1, block=1)  # fmt: skip
    assert len(distill(recipe, tmp_path / "out").images) == 3
    with pytest.raises(UserError, match="flow matching"):
        distill(replace(recipe, steering=(Sample(steps=4, scheduler="DDIM"),)), tmp_path / "other")


class _Source:
    """A source of data that are there already."""

    def __init__(self, real):
        self._real = real

    def open(self):
        return self._real

    def __repr__(self):
        return "animals"


def test_half_precision_runs_the_network_alone():
    prior = LatentDiffusion(pipeline()).load(data(), CPU, torch.bfloat16)
    estimate = prior.denoise(torch.randn(1, 4, 4, 4), prior.schedule.level(900), prior.condition(torch.tensor([0])))
    assert estimate.clean.dtype == torch.float32 and next(prior.denoiser.parameters()).dtype == torch.bfloat16


def test_a_loaded_pipeline_is_taken_where_a_prior_is():
    assert as_prior(pipeline()).load(data(), CPU, torch.float32).latent_shape == (4, 4, 4)
    assert "DiTPipeline" in repr(as_prior(pipeline()))


def test_classes_go_by_name_not_by_position():
    prior = LatentDiffusion(pipeline()).load(data(names=("owl", "cat")), CPU, torch.float32)
    assert prior.rows.tolist() == [2, 0]


def test_imagenet_classes_go_by_wordnet_id():
    from timm.data import ImageNetInfo

    words = [ImageNetInfo().index_to_description(i) for i in range(1000)]
    real = data()
    images = StoredImages(
        [Class("tench", "n01440764"), Class("crane", "n02012849")], torch.tensor([0, 1]), real.train.stored([0, 1])
    )
    rows = LatentDiffusion(pipeline(names=words)).load(replace(real, train=images), CPU, torch.float32).rows
    assert rows.tolist() == [0, 134], "the crane that is a bird"


@pytest.mark.parametrize(
    ("real", "says"),
    [
        (data(names=("cat", "dgo", "owl")), "dog"),
        (data(size=16), "size=8"),
        (data(channels=3), "channels=1"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_weights_load(real, says, folder):
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match=says):
        LatentDiffusion(str(folder)).check(real)


def test_a_checkpoint_without_names_needs_rows():
    with pytest.raises(UserError, match="rows="):
        LatentDiffusion(pipeline(names=())).check(data())
    LatentDiffusion(pipeline(names=()), rows=(5, 6, 7)).check(data())
    with pytest.raises(UserError, match="one row"):
        LatentDiffusion(pipeline(names=()), rows=(5, 6)).check(data())


@pytest.mark.parametrize("damage", ["left over", "missing", "shape", "config"])
def test_a_damaged_checkpoint_is_refused(damage, folder):
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    name = "proj_out_2.weight"
    if damage == "left over":
        weights["extra.weight"] = torch.zeros(2)
    elif damage == "missing":
        del weights[name]
    elif damage == "shape":
        weights[name] = weights[name][:, :3].contiguous()
    else:
        config = json.loads((folder / "transformer" / "config.json").read_text())
        (folder / "transformer" / "config.json").write_text(json.dumps({**config, "num_layers": 2}))
    save_file(weights, file)
    with pytest.raises(UserError, match="transformer"):
        LatentDiffusion(str(folder)).load(data(), CPU, torch.float32)


def test_a_place_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(UserError, match="model_index"):
        LatentDiffusion(str(tmp_path)).check(data())


def test_a_pipeline_loaded_by_diffusers_keeps_its_names(folder):
    loaded = diffusers.DiTPipeline.from_pretrained(folder)
    LatentDiffusion(loaded).check(data())
    text = repr(LatentDiffusion(loaded))
    LatentDiffusion(loaded).load(data(), CPU, torch.bfloat16)
    assert repr(LatentDiffusion(loaded)) == text, "the user's own pipeline was cast"


def test_a_changed_scale_or_schedule_is_another_prior(folder):
    before = LatentDiffusion(str(folder)).load(data(), CPU, torch.float32)
    for part, entry, value in (("vae", "scaling_factor", 0.6), ("scheduler", "beta_end", 0.03)):
        file = folder / part / ("config.json" if part == "vae" else "scheduler_config.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), entry: value}))
        after = LatentDiffusion(str(folder)).load(data(), CPU, torch.float32)
        assert after.fingerprint != before.fingerprint
        assert (after.encoder != before.encoder) == (part == "vae")
        before = after


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch):
    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(UserError, match="there is no folder 'my-prior': `gendistill train-prior` writes one"):
        LatentDiffusion("my-prior").shape()
