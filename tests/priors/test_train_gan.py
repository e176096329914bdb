"""A GAN trained on a few tiny pictures: what its losses are, what is left in the folder, what is refused."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus
from torch.utils.flop_counter import FlopCounterMode

from gendistill.context import Context
from gendistill.images import StoredImages
from gendistill.priors.discriminator import Discriminator, spread
from gendistill.priors.gan import Gan
from gendistill.priors.loaded_gan import LoadedGan
from gendistill.priors.small_gan import SmallGan
from gendistill.priors.style_generator import StyleGenerator
from gendistill.priors.train_gan import GanTraining, train_gan
from gendistill.priors.training import checkpoints, gan
from gendistill.priors.training.gan_sizes import check_groups, complete, sizes
from gendistill.system.store import Store, fingerprint_state
from gendistill.types import Class, Images, RealData, UserError

TINY = GanTraining(
    block_out_channels=(8, 8), noise_size=4, style_size=8, max_train_steps=4, train_batch_size=8, learning_rate=1e-3,
    penalty_steps=2, checkpointing_steps=2,
)  # fmt: skip
CLASSES = (Class("tench", "n01440764"), Class("chain saw", "n03000684"))


def pictures(count: int = 12, side: int = 8, channels: int = 3, classes=CLASSES) -> Images:
    dice = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (count, channels, side, side), generator=dice, dtype=torch.uint8)
    return StoredImages(classes, torch.arange(count) % len(classes), stored)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return train_gan(pictures(), tmp_path_factory.mktemp("gan"), TINY, name="two things", licence="mit")


def game(channels=3):
    return gan.build(complete(TINY, pictures(channels=channels)), channels, CLASSES, 0)


def round_of(nets):
    dice = torch.Generator().manual_seed(0)
    real, z = torch.rand(8, 3, 8, 8, generator=dice), torch.randn(8, 4, generator=dice)
    return real, torch.arange(8) % 2, z, nets.generator(z, torch.arange(8) % 2)


def test_the_loss_is_the_published_sum():
    nets = game()
    real, rows, z, made = round_of(nets)
    of_real, of_made = nets.discriminator(torch.cat([real, made]), torch.cat([rows, rows])).chunk(2)
    plain = softplus(of_made - of_real).mean() + softplus(of_real - of_made).mean()
    torch.testing.assert_close(nets(real, rows, z, gan.unchanged, 0.0), plain)
    penalty = 0.0
    for side in (real, made.detach()):
        side = side.clone().requires_grad_()
        slope = torch.autograd.grad(nets.discriminator(side, rows).sum(), side)[0]
        penalty = penalty + 0.7 / 2 * slope.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(nets(real, rows, z, gan.unchanged, 0.7), plain + penalty)


def test_each_network_follows_its_own_loss():
    nets = game()
    real, rows, z, made = round_of(nets)
    nets(real, rows, z, gan.unchanged, 0.0).backward()
    found = {name: value.grad.clone() for name, value in nets.named_parameters() if value.grad is not None}
    of_real = nets.discriminator(real, rows)
    adversary = softplus(nets.discriminator(made.detach(), rows) - of_real).mean()
    wanted = torch.autograd.grad(adversary, list(nets.discriminator.parameters()))
    for (name, _), value in zip(nets.discriminator.named_parameters(), wanted, strict=True):
        torch.testing.assert_close(found[f"discriminator.{name}"], value, msg=name)
    fooling = softplus(of_real.detach() - nets.discriminator(nets.generator(z, rows), rows)).mean()
    wanted = torch.autograd.grad(fooling, list(nets.generator.parameters()))
    for (name, _), value in zip(nets.generator.named_parameters(), wanted, strict=True):
        torch.testing.assert_close(found[f"generator.{name}"], value, msg=name)


def test_neighbours_that_are_alike_are_found_out():
    varied = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    alike = varied[:1].expand(8, -1, -1, -1)
    found = spread(torch.cat([varied, alike]), 4)
    assert found.shape == (16, 1, 4, 4)
    wanted = varied[:4].var(0, unbiased=False).add(1e-8).sqrt().mean()
    torch.testing.assert_close(found[:4], wanted.expand(4, 1, 4, 4))
    assert (found[8:] < 1e-3).all()


def test_neighbours_in_a_batch_are_of_one_class(monkeypatch, tmp_path):
    seen = []
    plain = gan.Game.forward
    monkeypatch.setattr(
        gan.Game, "forward", lambda self, real, rows, *more: seen.append(rows.clone()) or plain(self, real, rows, *more)
    )
    train_gan(pictures(), tmp_path / "p", TINY)
    assert len(seen) == TINY.max_train_steps
    for rows in seen:
        assert (rows.view(-1, gan.GROUP) == rows.view(-1, gan.GROUP)[:, :1]).all() and len(rows.unique()) == 2


def test_what_is_left_loads_by_name_and_tells_what_it_is(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "README.md", "checkpoint-2", "config.json", "diffusion_pytorch_model.safetensors", "discriminator", "training.json",
    ]  # fmt: skip
    config = json.loads((trained / "config.json").read_text())
    assert config["id2label"] == {"0": "tench", "1": "chain saw"} and config["id2wnid"]["1"] == "n03000684"
    turned = pictures(classes=(Class("saw", "n03000684"), Class("tench", "n01440764")))
    prior, data = Gan(str(trained)), RealData("two things", turned, None)
    prior.check(data)
    assert prior.load(data, torch.device("cpu"), torch.float32).rows.tolist() == [1, 0]
    assert prior.origin() == {"name": str(trained), "source": str(trained), "licence": "mit"}
    card = (trained / "README.md").read_text()
    assert (
        "12 pictures of two things at 8 x 8" in card and "0 tench, 1 chain saw" in card and "max_train_steps=4," in card
    )
    Discriminator.from_pretrained(str(trained / "discriminator"))


def test_what_is_published_is_the_average(tmp_path):
    plain = train_gan(pictures(), tmp_path / "plain", replace(TINY, ema_decay=0.0, checkpointing_steps=4))
    slow = train_gan(pictures(), tmp_path / "slow", replace(TINY, ema_decay=0.9, checkpointing_steps=4))
    nets = [StyleGenerator.from_pretrained(str(path)) for path in (plain, slow)]
    critics = [Discriminator.from_pretrained(str(path / "discriminator")) for path in (plain, slow)]
    assert fingerprint_state(nets[0]) != fingerprint_state(nets[1])
    assert fingerprint_state(critics[0]) == fingerprint_state(critics[1])


def test_grey_pictures_bfloat16_and_no_augmentation(tmp_path):
    settings = replace(TINY, mixed_precision="bf16", augment=None, random_flip=True)
    folder = train_gan(pictures(channels=1), tmp_path, settings)
    assert StyleGenerator.from_pretrained(str(folder))(torch.randn(2, 4), torch.tensor([0, 1])).shape == (2, 1, 8, 8)


def test_finished_is_left_as_it_is(trained):
    before = (trained / "config.json").stat().st_mtime_ns
    train_gan(pictures(), trained, replace(TINY, checkpointing_steps=3))
    assert (trained / "config.json").stat().st_mtime_ns == before


class Stop(Exception):
    pass


def test_an_interrupted_training_is_not_overwritten_and_a_checkpoint_can_be_named(trained, tmp_path):
    def progress(items, what, total=None):
        for item in items:
            if item == 3:
                raise Stop
            yield item

    with pytest.raises(Stop):
        train_gan(pictures(), tmp_path, TINY, progress=progress)
    assert list(checkpoints.found(tmp_path)) == [2]
    with pytest.raises(UserError, match=r"interrupted training \(checkpoint-2\)"):
        train_gan(pictures(), tmp_path, TINY)
    train_gan(pictures(), tmp_path, TINY, resume_from_checkpoint="checkpoint-2")
    name = "diffusion_pytorch_model.safetensors"
    assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "images", "says"),
    [
        (replace(TINY, block_out_channels=(8, 8, 8, 8, 8)), pictures(), "halve the pictures 4 times, and resolution=8"),
        (replace(TINY, lr_scheduler="cosin"), pictures(), "did you mean cosine"),
        (replace(TINY, penalty_steps=0), pictures(), "penalty_steps=0 must be at least 1"),
        (replace(TINY, gradient_penalty=-1.0), pictures(), "gradient_penalty >= 0"),
        (replace(TINY, train_batch_size=10), pictures(), "train_batch_size=10 .* give a multiple of 4"),
        (replace(TINY, mixed_precision="fp16"), pictures(), "needs a GPU"),
        (TINY, pictures(count=1), "at least 2 pictures"),
        (TINY, pictures(count=2, classes=(*CLASSES, Class("third"))), "there are none of third"),
        (replace(TINY, learning_rate=1e30), pictures(), "a lower learning rate"),
    ],
)
def test_refuses(settings, images, says, tmp_path):
    with pytest.raises(UserError, match=says):
        train_gan(images, tmp_path / "refused", settings)


def test_every_process_has_whole_groups():
    check_groups("batch", 24, 3)
    with pytest.raises(UserError, match="batch=24 .* in each of 4 processes, .* a multiple of 16"):
        check_groups("batch", 24, 4)


def test_refuses_a_folder_of_another_training(trained, tmp_path):
    with pytest.raises(UserError, match="style_size: 8, now 9"):
        train_gan(pictures(), trained, replace(TINY, style_size=9))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not trained here"):
        train_gan(pictures(), tmp_path, TINY)


@pytest.mark.parametrize(("side", "smallest"), [(8, 4), (16, 4), (28, 7), (32, 4), (64, 4), (128, 4)])
def test_the_rule_fits(side, smallest):
    full = complete(GanTraining(), pictures(side=side))
    assert None not in [value for name, value in vars(full).items() if name != "checkpoints_total_limit"]
    widths = sizes(side).block_out_channels
    assert side >> (len(widths) - 1) == smallest and list(widths) == sorted(widths)


def test_small_gan_is_trained_once_and_loads(tmp_path):
    prior = SmallGan(**{f.name: getattr(TINY, f.name) for f in fields(TINY)})
    data = RealData("two things", pictures(), pictures)
    context = Context(data, Store(tmp_path), torch.device("cpu"), torch.float32, 0, 1, 10)
    prior.check(data)
    with pytest.raises(UserError, match="prepare"):
        prior.load(data, torch.device("cpu"), torch.float32)
    ready = prior.prepare(context)
    assert isinstance(ready, Gan) and prior.prepare(context) == ready
    assert replace(prior, seed=1).prepare(context) != ready
    ready.check(data)
    sketch, loaded = (make(data, torch.device("cpu"), torch.float32) for make in (prior.sketch, ready.load))
    assert isinstance(sketch, LoadedGan) and isinstance(loaded, LoadedGan)
    assert (sketch.spaces, sketch.latent_shape) == (loaded.spaces, loaded.latent_shape)
    for work in prior.work(data, torch.device("cpu")):
        assert work.calls == 2 and work.rows == 8
        with FlopCounterMode(display=False) as counter:  # as a plan does
            work.once()
        assert counter.get_total_flops() > 0
    assert repr(SmallGan(max_train_steps=5)) == "SmallGan(max_train_steps=5)"
