"""A tuned generator: what its loss is, what objectives change, the same bits however it was interrupted, what is stored of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus

from gendistill import seeds
from gendistill.objectives.base import Objective
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.priors.biggan import BigGan
from gendistill.priors.gan import Gan
from gendistill.priors.loaded_gan import LoadedGan
from gendistill.priors.training.loop import Batch
from gendistill.priors.training.tune_generator import build_stage
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.generate import Generate
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.system.store import fingerprint_file, fingerprint_state
from gendistill.testing import check_steering
from gendistill.toys import ToyData, ToyGan, ToyNet, toy_draft
from gendistill.types import Diverged, UserError
from tests.interruption import stopping
from tests.steering.tuned_generator import FRESH, LOGITS, SHORT, context_of

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
PLAIN = replace(SHORT, objectives=(), ema_decay=0.0, augment=None, batch=12)


@dataclass(frozen=True)
class Bright(Objective):
    """Wants dark pictures, and shows what it is given."""

    weight: float = 1.0

    def bind(self, context):
        SEEN.clear()
        return lambda synthetic: (SEEN.append(synthetic), synthetic.pixels.flatten(1).mean(1))[1]


@dataclass(frozen=True)
class Sour(Objective):
    """Finite until it is not."""

    weight: float = 1.0

    def bind(self, context):
        return lambda synthetic: synthetic.pixels.flatten(1).mean(1) * (float("inf") if synthetic.step == 2 else 0.0)


SEEN: list = []


@pytest.fixture
def context(tmp_path):
    return context_of(tmp_path)


def batch(stage, step=0):
    positions = stage.order(step * stage.batch, stage.batch)
    return Batch(positions, seeds.stream("a batch", step), slice(0, stage.batch), step)


def files(folder):
    return {
        str(path.relative_to(folder)): fingerprint_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def folder_of(context):
    return next(path for path in (context.store.root / TuneGenerator.kind).iterdir() if path.is_dir())


def nets(prior):
    return fingerprint_state(prior.net), fingerprint_state(prior.judge())


@pytest.mark.parametrize("step", [0, 1])
def test_the_loss_is_the_published_sum(step, context):
    tuned = replace(PLAIN, objectives=(Bright(weight=0.3),), adversarial=0.7, gradient_penalty=0.2)
    stage = build_stage(tuned.task(context), Path(), CPU)
    generator, judge, now = stage.model.generator, stage.model.discriminator, batch(stage, step)
    found = stage.loss(stage.model, now)
    rows = context.real.train.labels[now.positions]
    assert torch.equal(rows, torch.arange(3).repeat_interleave(4)), "a batch holds its classes equally, class by class"
    made = generator(torch.randn(12, 4, generator=batch(stage, step).dice), rows)
    real = context.real.train.pixels(now.positions)
    of_real, of_made = judge(torch.cat([real, made]), torch.cat([rows, rows])).chunk(2)
    wanted = softplus(of_made - of_real).mean() + 0.7 * softplus(of_real - of_made).mean() + 0.3 * made.mean()
    if step == 0:  # every second step is penalised, twice as much
        for side in (real, made.detach()):
            side = side.clone().requires_grad_()
            slope = torch.autograd.grad(judge(side, rows).sum(), side)[0]
            wanted = wanted + 0.2 * 2 / 2 * slope.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found, wanted)


def test_an_objective_sees_what_is_drawn_in_training(context):
    stage = build_stage(replace(PLAIN, objectives=(Bright(),)).task(context), Path(), CPU)
    stage.loss(stage.model, batch(stage, 1)).backward()
    (seen,) = SEEN
    SEEN.clear()
    assert seen.step == 1 and seen.pixels.requires_grad and seen.ids[:5].tolist() == [
        [0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 3, 0], [1, 0, 0],
    ]  # fmt: skip
    torch.testing.assert_close(seen.prior.decode(seen.latents), seen.pixels)


def test_objectives_change_the_generator_and_without_weight_nothing(tmp_path):
    def tuned(name, **changes):
        return nets(replace(PLAIN, max_train_steps=1, **changes).tune(context_of(tmp_path / name)))

    plain, nothing = tuned("plain"), tuned("nothing", objectives=(replace(LOGITS, weight=0.0),))
    wanted, before = tuned("wanted", objectives=(LOGITS,)), nets(context_of(tmp_path).prior)
    assert plain == nothing
    assert plain[0] != wanted[0] and plain[1] == wanted[1], "only the adversary teaches the discriminator"
    assert before[0] != plain[0] and before[1] != plain[1], "both go on learning"


def test_without_an_adversary_only_objectives_count(context):
    step = replace(PLAIN, adversarial=0.0, objectives=(Bright(),), max_train_steps=20, learning_rate=1e-2)
    prior = replace(context, prior=Gan(context.prior.trainable()).load(context.real, CPU, torch.float32))
    tuned = step.tune(prior)  # a loaded generator has no discriminator
    z, rows = torch.randn(9, 4), torch.arange(9) % 3
    assert tuned.net(z, rows).mean() < prior.prior.net(z, rows).mean() - 0.1
    assert sorted(path.name for path in folder_of(prior).iterdir()) == [
        "README.md", "config.json", "diffusion_pytorch_model.safetensors", "key.json",
    ]  # fmt: skip
    with pytest.raises(UserError, match="without its discriminator"):
        replace(PLAIN, seed=1).tune(replace(context, prior=tuned))


def test_the_adversary_leads_to_the_real_pictures(tmp_path):
    context = context_of(tmp_path, ToyGan())
    right = context.prior.net.centres
    astray = context.prior.with_networks(ToyNet(right + 0.15, context.prior.toy.deviation).requires_grad_(False), None)
    tuned = replace(PLAIN, max_train_steps=150, learning_rate=3e-3).tune(replace(context, prior=astray))
    assert (tuned.net.centres - right).abs().mean() < 0.5 * 0.15


def test_averaged_weights_come_out_and_the_priors_own_count(tmp_path):
    def weights(**changes):
        return replace(PLAIN, **changes).tune(context_of(tmp_path)).net.state_dict()

    one, two, mean = (
        weights(max_train_steps=1), weights(max_train_steps=2), weights(max_train_steps=2, ema_decay=0.5),
    )  # fmt: skip
    for name, start in context_of(tmp_path).prior.net.state_dict().items():
        torch.testing.assert_close(mean[name], 0.25 * start + 0.25 * one[name] + 0.5 * two[name])


def test_a_killed_tuning_goes_on_to_the_same_bits(tmp_path):
    whole, broken = context_of(tmp_path / "whole"), context_of(tmp_path / "broken")
    SHORT.tune(whole)

    with pytest.raises(KeyboardInterrupt):
        SHORT.tune(replace(broken, progress=stopping(5)))
    seen = []
    SHORT.tune(replace(broken, progress=lambda items, what, total=None: (seen.append(i) or i for i in items)))
    assert seen == [4, 5, 6], "step 4 is the second look of a network that is trained while it looks"
    assert files(folder_of(broken)) == files(folder_of(whole))
    assert not list(folder_of(broken).glob("checkpoint-*"))


def test_two_processes_tune_as_one(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "tests.steering.tuned_generator", str(tmp_path / "two")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    context = context_of(tmp_path / "one")
    one, two = SHORT.tune(context), context.prior.reload(folder_of(context_of(tmp_path / "two")))
    z, rows = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 3
    drawn = [prior.net(z, rows) for prior in (one, two, context.prior)]
    assert (drawn[0] - drawn[1]).abs().max() < 0.05 * (drawn[0] - drawn[2]).abs().max()


def test_it_is_made_once_whatever_seed_and_ipc_and_the_set_is_the_generator(tmp_path):
    shown = []

    def progress(items, what, total=None):
        shown.append(what)
        return items

    recipe = Recipe(real=ToyData(), prior=FRESH, steering=(PLAIN, Generate()), ipc=2, draws=3)
    before = replace(recipe, steering=(Generate(),))
    made = distill(recipe, tmp_path / "made", progress=progress)
    distill(replace(recipe, seed=1, ipc=1), tmp_path / "other", progress=progress)
    assert shown.count("tune generator") == 1
    sets = [made.images.at_epoch(number).stored(range(6)) for number in range(4)]
    assert torch.equal(sets[0], sets[3]) and not torch.equal(sets[0], sets[1])
    assert not torch.equal(sets[0], distill(before, tmp_path / "before").images.stored(range(6)))
    stored = sorted((tmp_path / "made" / "generator").iterdir())
    assert [path.name for path in stored] == ["config.json", "diffusion_pytorch_model.safetensors"], "no discriminator"
    assert made.images.bytes == sum(path.stat().st_size for path in stored)
    opened = Gan(str(tmp_path / "made" / "generator")).load(ToyData().open(), CPU, torch.float32)
    assert fingerprint_state(opened.net) == fingerprint_state(PLAIN.tune(context_of(tmp_path)).net)
    with pytest.raises(UserError, match="without its discriminator"):
        opened.judge()


def test_it_can_be_tuned_again_and_says_what_it_is(context):
    once = PLAIN.tune(context)
    twice = PLAIN.tune(replace(context, prior=once))
    assert isinstance(twice, LoadedGan) and nets(once) != nets(twice)
    assert "adversarial=1.0" in (folder_of(context) / "README.md").read_text()
    told = PLAIN.retold({"name": "a GAN", "saw": "the training pictures"})
    assert told == {"name": "a GAN, fine-tuned here", "saw": "the training pictures"}


def test_a_plan_tunes_nothing_and_counts_the_penalty(context):
    dry = replace(context, dry=True)
    assert PLAIN.tune(dry) is context.prior and not (context.store.root / PLAIN.kind).exists()
    assert [work.calls for work in PLAIN.work(toy_draft(context), dry)] == [3, 4]
    assert [
        work.calls for work in replace(PLAIN, adversarial=0.0, objectives=(Bright(),)).work(toy_draft(context), dry)
    ] == [7]
    check_steering(replace(SHORT, random_flip=True, mixed_precision="bf16"), context)


def test_a_loss_that_is_not_finite_is_named(context):
    with pytest.raises(Diverged, match=r"Sour\(.*not finite at step 2"):
        replace(PLAIN, objectives=(Bright(), Sour())).tune(context)
    assert not list((context.store.root / PLAIN.kind).rglob("checkpoint-4"))


def test_a_state_that_begins_anew_is_saved_only_there(context, monkeypatch):
    monkeypatch.setattr(Bright, "period", 3, raising=False)
    stage = build_stage(replace(PLAIN, objectives=(Bright(),), checkpointing_steps=4).task(context), Path(), CPU)
    assert stage.checkpointing_steps == 6


def test_what_cannot_be_tuned_is_refused_before_any_work(context, monkeypatch):
    step = replace(PLAIN, objectives=(MeanFeatures(),))
    with pytest.raises(
        UserError, match="TuneGenerator needs a prior that learns and has a discriminator; BigGan does not"
    ):
        Recipe(real=ToyData(), prior=BigGan("biggan-deep-128"), steering=(step, Generate()))
    monkeypatch.setattr(MeanFeatures, "bind", None)
    alone = Gan(context.prior.trainable()).load(context.real, CPU, torch.float32)
    with pytest.raises(UserError, match="came as a loaded object, without its discriminator: give Gan"):
        step.tune(replace(context, prior=alone))
    with pytest.raises(UserError, match="needs a GPU"):
        replace(step, mixed_precision="fp16").tune(context)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"adversarial": 0.0}, "nothing to learn"),
        ({"adversarial": -1.0}, "adversarial >= 0"),
        ({"learning_rate": 0.0}, "learning_rate > 0"),
        ({"ema_decay": 1.0}, "ema_decay < 1"),
        ({"gradient_penalty": -1.0}, "gradient_penalty=-1.0"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"batch": 6}, "batch=6 .* give a multiple of 4"),
        ({"lr_scheduler": "cosin"}, "did you mean cosine"),
    ],
)
def test_refuses(settings, says):
    with pytest.raises(UserError, match=says):
        replace(PLAIN, **settings)


def test_passes_over_the_pictures_become_steps():
    step = TuneGenerator(epochs=3, batch=16)
    assert step.steps(100) == 19 and replace(step, max_train_steps=5).steps(100) == 5
    alone = replace(step, adversarial=0.0, objectives=(Bright(),))  # nobody compares neighbours
    assert (step.together(3), step.together(10)) == (2, 4) and (alone.together(3), alone.together(10)) == (2, 8)
