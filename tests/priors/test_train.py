"""A prior trained on a few tiny pictures: what stock diffusers sees, what a class is called, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DiTPipeline

from gendistill import seeds
from gendistill.context import Context
from gendistill.images import StoredImages
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.small_diffusion import SmallDiffusion
from gendistill.priors.train import PriorTraining, train_prior
from gendistill.priors.training import checkpoints, denoiser, loop
from gendistill.priors.training.rows import label_rows
from gendistill.priors.training.sizes import RULE, complete
from gendistill.system.store import Store
from gendistill.types import Class, Ids, Images, RealData, UserError

TINY = PriorTraining(
    downsample=2,
    block_out_channels=(8, 8),
    vae_train_steps=3,
    vae_train_batch_size=4,
    patch_size=2,
    num_layers=2,
    hidden_size=16,
    attention_head_dim=8,
    max_train_steps=4,
    train_batch_size=4,
    learning_rate=1e-3,
    checkpointing_steps=2,
)
CLASSES = (Class("tench", "n01440764"), Class("chain saw", "n03000684"))


def pictures(count: int = 12, side: int = 8, channels: int = 3, classes=CLASSES) -> Images:
    dice = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (count, channels, side, side), generator=dice, dtype=torch.uint8)
    return StoredImages(classes, torch.arange(count) % len(classes), stored)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return train_prior(pictures(), tmp_path_factory.mktemp("prior"), TINY, name="two things", licence="mit")


WITHOUT_US = """
import sys
sys.modules["gendistill"] = None  # importing it is now an error
from diffusers import DiffusionPipeline
pipe = DiffusionPipeline.from_pretrained(sys.argv[1])
row, = pipe.get_label_ids(["chain saw"])
image, = pipe(class_labels=[row], guidance_scale=2.0, num_inference_steps=2).images
print(type(pipe).__name__, row, image.size, pipe.scheduler.config.prediction_type, pipe.scheduler.config.clip_sample)
"""


def test_stock_diffusers_samples_it_with_guidance(trained):
    ended = subprocess.run([sys.executable, "-c", WITHOUT_US, str(trained)], capture_output=True, text=True, cwd="/")
    assert ended.stdout.split("\n")[0] == "DiTPipeline 491 (8, 8) v_prediction False", ended.stderr[-2000:]


def test_every_weight_fits_its_config(trained):
    data = RealData("two things", pictures(), pictures)
    prior = LatentDiffusion(str(trained))
    prior.check(data)
    loaded = prior.load(data, torch.device("cpu"), torch.float32)
    assert loaded.rows.tolist() == [0, 491]
    latents = loaded.encode(data.train.pixels(range(12)))
    assert latents.std().item() == pytest.approx(1, abs=0.05)
    ids: Ids = torch.tensor([[0, 0, 0], [1, 0, 0]])
    assert loaded.decode(loaded.noise(0, ids)).shape == (2, 3, 8, 8)


def test_the_card_says_how_to_use_it(trained):
    card = (trained / "README.md").read_text()
    assert card.startswith('---\nlicense: "mit"\n')
    assert "12 pictures of two things at 8 x 8" in card and "0 tench, 491 chain saw" in card
    assert "max_train_steps=4," in card


def test_grey_pictures_and_bfloat16(tmp_path):
    grey = pictures(channels=1)
    folder = train_prior(grey, tmp_path / "grey", replace(TINY, mixed_precision="bf16", max_train_steps=2))
    pipe = DiTPipeline.from_pretrained(str(folder))
    assert pipe(class_labels=[0], guidance_scale=2.0, num_inference_steps=2, output_type="np").images.shape == (
        1,
        8,
        8,
        1,
    )


def test_other_resolution_than_the_pictures(tmp_path):
    folder = train_prior(pictures(), tmp_path / "small", replace(TINY, resolution=4, max_train_steps=1))
    assert json.loads((folder / "vae" / "config.json").read_text())["sample_size"] == 4


def test_finished_is_left_as_it_is(trained):
    weights = trained / "transformer" / "diffusion_pytorch_model.safetensors"
    before = weights.stat().st_mtime_ns
    train_prior(pictures(), trained, replace(TINY, checkpointing_steps=3))
    assert weights.stat().st_mtime_ns == before
    assert list(checkpoints.found(trained)) == [2]


def test_the_label_is_hidden_from_all_blocks_or_none(monkeypatch, tmp_path):
    seen: list[list[torch.Tensor]] = []
    lookup = denoiser.LabelEmbedding.forward

    def spy(self, labels, force_drop_ids=None):
        if self.training:
            assert self.dropout_prob == 0
            seen.append(labels.clone())
        return lookup(self, labels, force_drop_ids)

    monkeypatch.setattr(denoiser.LabelEmbedding, "forward", spy)
    train_prior(pictures(), tmp_path / "p", replace(TINY, train_batch_size=64, class_dropout_prob=0.25))
    calls = TINY.num_layers + 1  # every block, and the output layer asks the first block again
    assert len(seen) == calls * TINY.max_train_steps
    for step in range(TINY.max_train_steps):
        first, *others = seen[step * calls : (step + 1) * calls]
        assert all(torch.equal(first, other) for other in others)
        assert 4 <= (first == 1000).sum() <= 32


def test_times_are_uniform():
    times = torch.cat([denoiser.spread_times(16, 1000, seeds.stream(i)) for i in range(2000)])
    assert times.min() == 0 and times.max() == 999
    assert torch.histc(times.float(), 10, 0, 1000).sub(3200).abs().max() < 150


def test_every_epoch_shows_every_picture_once():
    take = loop.order(7, seed=3)
    places = torch.cat([take(start, 5) for start in range(0, 35, 5)])
    for epoch in places.split(7):
        assert sorted(epoch.tolist()) == list(range(7))
    assert torch.equal(loop.order(7, seed=3)(20, 15), places[20:])
    assert not torch.equal(places[:7], places[7:14])


def test_the_velocity_target_gives_back_the_clean_latent():
    scheduler, dice = denoiser.noise_schedule(), torch.Generator().manual_seed(0)
    clean, noise = torch.randn((5, 4, 2, 2), generator=dice), torch.randn((5, 4, 2, 2), generator=dice)
    times = torch.tensor([0, 10, 500, 900, 999])
    alpha = scheduler.alphas_cumprod[times].sqrt().view(-1, 1, 1, 1)
    sigma = (1 - scheduler.alphas_cumprod[times]).sqrt().view(-1, 1, 1, 1)
    noisy, velocity = scheduler.add_noise(clean, noise, times), scheduler.get_velocity(clean, noise, times)
    torch.testing.assert_close(alpha * noisy - sigma * velocity, clean, atol=1e-5, rtol=1e-5)


def test_rows_follow_wordnet_ids_only_where_all_classes_have_one():
    assert label_rows(CLASSES) == (0, 491)
    assert label_rows((*CLASSES, Class("other"))) == (0, 1, 2)
    assert label_rows((*CLASSES, Class("other", "n99999999"))) == (0, 1, 2)


@pytest.mark.parametrize("side", [8, 16, 28, 32, 64, 128, 256])
def test_the_rule_fits(side):
    full = complete(PriorTraining(), pictures(side=side))
    assert None not in [value for name, value in vars(full).items() if name != "checkpoints_total_limit"]


def test_the_rule_keeps_what_was_given():
    full = complete(PriorTraining(downsample=2, num_layers=3), pictures(side=16))
    assert (full.downsample, len(full.block_out_channels or ()), full.num_layers) == (2, 2, 3)
    assert full.hidden_size == RULE[0][1].hidden_size


@pytest.mark.parametrize(
    ("settings", "images", "says"),
    [
        (TINY, pictures(side=6), "resolution=6 is not divisible by downsample x patch_size = 2 x 2 = 4; nearest that is: 8"),
        (replace(TINY, downsample=4), pictures(), "which is downsample=2"),
        (replace(TINY, hidden_size=20), pictures(), "hidden_size=20 is not divisible by attention_head_dim=8"),
        (replace(TINY, lr_scheduler="cosin"), pictures(), "did you mean cosine"),
        (replace(TINY, max_train_steps=0), pictures(), "max_train_steps=0 must be at least 1"),
        (replace(TINY, mixed_precision="fp16"), pictures(), "needs a GPU"),
        (TINY, pictures(count=1), "at least 2 pictures"),
        (TINY, pictures(classes=tuple(Class(str(i)) for i in range(1001))), "1000 label rows, the data 1001 classes"),
        (replace(TINY, learning_rate=1e30, max_grad_norm=1e30), pictures(), "a lower learning rate"),
    ],
)  # fmt: skip
def test_refuses(settings, images, says, tmp_path):
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        train_prior(images, tmp_path / "refused", settings)


def test_refuses_pictures_that_are_not_square(tmp_path):
    wide = StoredImages(CLASSES, torch.tensor([0, 1]), torch.zeros((2, 3, 8, 16), dtype=torch.uint8))
    with pytest.raises(UserError, match="8 x 16"):
        train_prior(wide, tmp_path, TINY)


def test_refuses_a_folder_of_another_training(trained, tmp_path):
    with pytest.raises(UserError, match="num_layers: 2, now 1"):
        train_prior(pictures(), trained, replace(TINY, num_layers=1))
    with pytest.raises(UserError, match="seed: 0, now 1"):
        train_prior(pictures(), trained, TINY, seed=1)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(UserError, match="not trained here"):
        train_prior(pictures(), tmp_path, TINY)


class Stop(Exception):
    pass


def interrupted(folder: Path) -> None:
    def progress(items, what, total=None):
        for item in items:
            if what == "denoiser" and item == 3:
                raise Stop
            yield item

    with pytest.raises(Stop):
        train_prior(pictures(), folder, TINY, progress=progress)


def test_an_interrupted_training_is_not_overwritten_and_a_checkpoint_can_be_named(trained, tmp_path):
    interrupted(tmp_path)
    with pytest.raises(UserError, match=r"interrupted training \(checkpoint-2\)"):
        train_prior(pictures(), tmp_path, TINY)
    with pytest.raises(UserError, match="has checkpoint-2"):
        train_prior(pictures(), tmp_path, TINY, resume_from_checkpoint="checkpoint-7")
    train_prior(pictures(), tmp_path, TINY, resume_from_checkpoint="checkpoint-2")
    name = "transformer/diffusion_pytorch_model.safetensors"
    assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_the_gpu_may_be_named_without_its_number(monkeypatch):
    there = loop.Accelerator
    monkeypatch.setattr(loop, "Accelerator", lambda **settings: there(**settings | {"cpu": True}))
    loop.launch(torch.device("cuda"), "no", 1)  # torch itself makes no other than a numbered one the current one


def test_small_diffusion_is_trained_once_and_resumed(tmp_path, monkeypatch):
    prior = SmallDiffusion(**vars(TINY))
    data, store = RealData("two things", pictures(), pictures), Store(tmp_path)
    context = Context(data, store, torch.device("cpu"), torch.float32, 0, 1, 10)
    with pytest.raises(UserError, match="prepare"):
        prior.load(data, torch.device("cpu"), torch.float32)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="several processes"):
        prior.prepare(context)
    monkeypatch.delenv("WORLD_SIZE")
    prior.check(data)
    ready = prior.prepare(context)
    assert isinstance(ready, LatentDiffusion) and prior.prepare(context) == ready
    ready.check(data)
    assert prior.prepare(replace(context, seed=1)) == ready, "runs with other seeds share the prior"
    assert replace(prior, seed=1).prepare(context) != ready


def test_small_diffusion_refuses_another_size_than_the_data():
    with pytest.raises(UserError, match="set size=16 in `real`"):
        replace(SmallDiffusion(), resolution=16).check(RealData("big", pictures(side=32), pictures))


def test_small_diffusion_prints_what_was_chosen():
    assert repr(SmallDiffusion(max_train_steps=5)) == "SmallDiffusion(max_train_steps=5)"
