"""Fine-tuning trains what it says on what it says, ends with the same bits however it was interrupted, and opens anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import diffusers
import peft
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import LabelEmbedding

from gendistill import seeds
from gendistill.objectives.base import MemoryLoss, Objective
from gendistill.objectives.diversity import Diversity
from gendistill.objectives.representativeness import Representativeness
from gendistill.objectives.sparsity import Sparsity
from gendistill.priors.difffit import DiffFit, Scaled
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.lora import LoRA
from gendistill.priors.parameters import Everything
from gendistill.priors.pixels import Pixels
from gendistill.priors.training import finetune
from gendistill.priors.training.balance import balanced
from gendistill.priors.training.finetune import build_stage
from gendistill.priors.training.look import RealLatents, draw
from gendistill.priors.training.loop import Batch
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.finetune import FineTune
from gendistill.steering.sample import Sample
from gendistill.system.store import fingerprint_file, fingerprint_state
from gendistill.testing import check_steering
from gendistill.toys import toy_context
from gendistill.types import Diverged, UserError
from tests.interruption import stopping
from tests.parts_under_test import example
from tests.priors.test_latent_diffusion import CPU, _Source, data, pipeline
from tests.steering.tuned_together import SHORT, context_of

ROOT = Path(__file__).resolve().parents[2]
PLAIN = replace(SHORT, objectives=(), parameters=Everything(), class_dropout_prob=0.0, ema_decay=0.0)


@pytest.fixture
def context(tmp_path):
    return context_of(tmp_path)


def stage(step, context, folder=Path()):
    real = RealLatents(tuple(context.latents(index) for index in context.classes))
    return build_stage(step.task(context, real), folder, CPU), real


def batch(stage, step=0):
    positions = stage.order(step * stage.batch, stage.batch)
    return Batch(positions, seeds.stream("a batch", step), slice(0, stage.batch), step)


def weights(prior):
    return {name: value.clone() for name, value in prior.denoiser.state_dict().items()}


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def files(folder):
    return {
        str(path.relative_to(folder)): fingerprint_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".safetensors", ".json")
    }


def folder_of(context):
    return next(path for path in (context.store.root / "finetuned").iterdir() if path.is_dir())


TARGETS = {
    "epsilon": lambda alpha, sigma, clean, noise: noise,
    "v_prediction": lambda alpha, sigma, clean, noise: alpha * noise - sigma * clean,
    "sample": lambda alpha, sigma, clean, noise: clean,
    "flow_prediction": lambda alpha, sigma, clean, noise: noise - clean,
}


@pytest.mark.parametrize("head", TARGETS)
def test_the_head_is_trained_on_its_own_target(head, tmp_path):
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type=head)
    if head == "flow_prediction":
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    context = context_of(tmp_path, pipeline(scheduler=scheduler))
    made, real = stage(PLAIN, context)
    now = batch(made)
    look = draw(context.prior, PLAIN, real, batch(made), CPU)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in (look.level.alpha, look.level.sigma))
    noise = (look.x - alpha * look.real) / sigma
    answer = made.model(look.x, timestep=look.level.time * 1000, class_labels=look.conditions.values["class"]).sample
    expected = (answer - TARGETS[head](alpha, sigma, look.real, noise)).square().mean()
    torch.testing.assert_close(made.loss(made.model, now), expected, rtol=2e-4, atol=0)


def test_restricted_score_matching_adds_the_mean_size_of_the_clean_estimate(context):
    plain, real = stage(PLAIN, context)
    restricted, _ = stage(replace(PLAIN, objectives=(Sparsity(weight=0.3),)), context)
    look = draw(context.prior, PLAIN, real, batch(plain), CPU)
    size = context.prior.denoise(look.x, look.level, look.conditions).clean.abs().mean()
    wanted = plain.loss(plain.model, batch(plain)) + 0.3 * size
    torch.testing.assert_close(restricted.loss(restricted.model, batch(plain)), wanted)


def test_minimax_is_published_with_these_weights(context):
    """L_diff + sum_c 1/#c [.002 (1 - min cos to real memory) + .008 max cos to memory of predictions]; 0 while they are empty."""
    plain, real = stage(replace(SHORT, objectives=()), context)
    minimax, _ = stage(replace(SHORT, objectives=(Representativeness(), Diversity())), context)
    assert torch.equal(minimax.loss(minimax.model, batch(plain)), plain.loss(plain.model, batch(plain)))
    minimax.after()

    def estimate(now):
        look = draw(context.prior, SHORT, real, now, CPU)
        return look, context.prior.denoise(look.x, look.level, look.conditions).clean

    before, memory = estimate(batch(plain))
    look, clean = estimate(batch(plain, step=1))
    wanted, classes = plain.loss(plain.model, batch(plain, step=1)), look.labels.unique().tolist()
    assert len(classes) == 3
    for index in classes:
        rows, held = look.labels == index, before.labels == index

        def cosine(other, rows=rows):
            return F.cosine_similarity(clean[rows].flatten(1)[:, None], other.flatten(1)[None], dim=2)

        wanted = wanted + (0.002 * (1 - cosine(before.real[held]).min()) + 0.008 * cosine(memory[held]).max()) / len(
            classes
        )
    torch.testing.assert_close(minimax.loss(minimax.model, batch(plain, step=1)), wanted)


@dataclass(frozen=True)
class Watching(Objective):
    """Shows what an objective is given."""

    weight: float = 0.0
    needs = ()

    def bind(self, context):
        SEEN.clear()
        return lambda synthetic: (SEEN.append(synthetic), synthetic.clean.flatten(1).mean(1))[1]


SEEN: list = []


def test_an_objective_sees_the_clean_estimates_of_the_prior_in_training(context):
    made, real = stage(replace(SHORT, objectives=(Watching(),)), context)
    made.loss(made.model, batch(made, step=1))
    (synthetic,) = SEEN
    look = draw(context.prior, SHORT, real, batch(made, step=1), CPU)
    assert synthetic.step == 1 and torch.equal(synthetic.x, look.x) and synthetic.clean.requires_grad
    assert torch.equal(synthetic.labels, torch.tensor([0, 0, 1, 1, 2, 2])), "a batch holds its classes equally"
    assert synthetic.ids.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [2, 0, 0], [2, 1, 0]]
    again = synthetic.prior.denoise(synthetic.x, synthetic.level, synthetic.conditions).clean
    torch.testing.assert_close(again, synthetic.clean)
    assert synthetic.pixels.shape == (6, 1, 8, 8) and synthetic.pixels.requires_grad


def test_objectives_look_at_the_levels_of_their_window_only(context):
    made, _ = stage(replace(SHORT, objectives=(Watching(),), window=(0.2, 0.6)), context)
    for step in range(8):
        made.loss(made.model, batch(made, step))
    times = torch.cat([synthetic.level.time for synthetic in SEEN])
    assert 0 < len(times) < 8 * 6 and bool(((times >= 0.2) & (times <= 0.6)).all())


def test_a_memory_is_given_every_step_and_told_of_the_tuning_before(context, monkeypatch):
    told = []

    class Remembering(MemoryLoss):
        def __call__(self, synthetic):
            return synthetic.clean.flatten(1).mean(1)

        def remember(self, clean, labels, real):
            told.append((clean, labels, real))

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    monkeypatch.setattr(Watching, "bind", lambda self, context: Remembering())
    made, real = stage(replace(SHORT, objectives=(Watching(),)), context)
    assert [len(part) for part in told.pop()] == [0, 0, 0]
    made.loss(made.model, batch(made))
    made.after()
    ((clean, labels, latents),) = told
    look = draw(context.prior, SHORT, real, batch(made), CPU)
    assert torch.equal(latents, look.real) and torch.equal(labels, look.labels) and not clean.requires_grad


def test_label_rows_are_the_priors_own_and_no_other_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(LabelEmbedding, "token_drop", None)  # diffusers' own label dropout would call it
    for hidden, rows in ((0.0, [2, 5, 9]), (0.5, [2, 5, 9, 1000])):
        context = context_of(tmp_path, rows=(5, 2, 9))
        tuned = replace(PLAIN, class_dropout_prob=hidden).tune(context)
        before, after = (prior._tables()[0].weight for prior in (context.prior, tuned))
        assert torch.nonzero((before != after).any(1)).flatten().tolist() == rows


def test_a_learned_variance_keeps_its_rows(tmp_path):
    scheduler = diffusers.DDPMScheduler(clip_sample=False, variance_type="learned_range")
    context = context_of(tmp_path, pipeline(scheduler=scheduler, learned=True))
    tuned = PLAIN.tune(context)
    moved = (tuned.denoiser.proj_out_2.weight != context.prior.denoiser.proj_out_2.weight).any(1).view(-1, 8)
    assert bool(moved[:, :4].all()) and not bool(moved[:, 4:].any())
    assert tuned.schedule.config["variance_type"] == "learned_range"


def test_difffit_trains_biases_label_rows_and_scales_and_folds_them(context):
    before = weights(context.prior)
    after = weights(replace(PLAIN, parameters=DiffFit(1.0)).tune(context))
    moved = changed(before, after)
    assert {name for name in before if name.endswith("bias")} <= moved
    rest = {name for name in moved if not name.endswith("bias")}
    block = "transformer_blocks.0."
    table = f"{block}norm1.emb.class_embedder.embedding_table.weight"
    assert rest == {f"{block}attn1.to_out.0.weight", f"{block}ff.net.2.weight", table}
    ratio = after[f"{block}ff.net.2.weight"] / before[f"{block}ff.net.2.weight"]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), msg="a scale is one number per channel")


def test_folded_scales_answer_as_before(context):
    part, x = DiffFit(1.0), torch.randn(2, 4, 4, 4)
    model = part.attach(context.prior.trainable(), 0)
    for module in model.modules():
        if isinstance(module, Scaled):
            torch.nn.init.uniform_(module.gamma, 0.5, 2.0)
    asked = {"timestep": torch.tensor([3, 700]), "class_labels": torch.tensor([0, 1])}
    scaled = model(x, **asked).sample
    folded = part.merge(model)
    torch.testing.assert_close(folded(x, **asked).sample, scaled)
    assert folded.state_dict().keys() == context.prior.denoiser.state_dict().keys()


@pytest.mark.parametrize(("share", "scaled"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_difffit_scales_the_first_blocks(share, scaled):
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, sample_size=4, norm_elementwise_affine=True
    )
    DiffFit(share).attach(model, 0)
    assert [isinstance(block.ff, Scaled) for block in model.transformer_blocks] == [i < scaled for i in range(2)]
    assert model.transformer_blocks[1].norm3.weight.requires_grad, "an affine norm"
    assert not model.transformer_blocks[0].norm1.linear.weight.requires_grad, "the modulation is no norm"


def test_an_adapter_of_its_own_equals_the_merged_weights(context):
    tuned = replace(PLAIN, parameters=LoRA(rank=2, alpha=16)).tune(context)
    assert changed(weights(context.prior), weights(tuned)) == {
        f"transformer_blocks.0.{name}.weight"
        for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
    }
    adapted = peft.PeftModel.from_pretrained(context.prior.trainable(), str(folder_of(context) / "adapter"))
    asked = {"timestep": torch.tensor([3, 700]), "class_labels": torch.tensor([0, 1])}
    x = torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(adapted.eval()(x, **asked).sample, tuned.denoiser(x, **asked).sample)


def test_averaged_weights_come_out_and_the_priors_own_count(context):
    one, two = (weights(replace(PLAIN, max_train_steps=steps).tune(context)) for steps in (1, 2))
    mean = weights(replace(PLAIN, max_train_steps=2, ema_decay=0.5).tune(context))
    for name, start in weights(context.prior).items():
        torch.testing.assert_close(mean[name], 0.25 * start + 0.25 * one[name] + 0.5 * two[name])


def test_it_learns(tmp_path):
    context = context_of(tmp_path)
    step = replace(PLAIN, max_train_steps=60, learning_rate=3e-3)
    made, real = stage(step, context)
    look = [draw(context.prior, step, real, batch(made, at), CPU) for at in range(10)]

    def mean(prior):
        return sum(
            float(finetune.diffusion_loss(prior, one, prior.denoise(one.x, one.level, one.conditions).clean))
            for one in look
        )

    assert mean(step.tune(context)) < 0.8 * mean(context.prior)


@pytest.mark.parametrize("parameters", [DiffFit(), LoRA(rank=2)], ids=repr)
def test_a_killed_tuning_goes_on_to_the_same_bits(parameters, tmp_path):
    step = replace(SHORT, parameters=parameters)
    whole, broken = context_of(tmp_path / "whole"), context_of(tmp_path / "broken")
    step.tune(whole)

    with pytest.raises(KeyboardInterrupt):
        step.tune(replace(broken, progress=stopping(5)))
    seen = []
    step.tune(replace(broken, progress=lambda items, what, total=None: (seen.append(i) or i for i in items)))
    assert seen == [4, 5, 6], "finished steps were made again"
    assert files(folder_of(broken)) == files(folder_of(whole))
    assert not list(folder_of(broken).glob("checkpoint-*"))


def test_two_processes_tune_as_one(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "tests.steering.tuned_together", str(tmp_path / "two")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    context = context_of(tmp_path / "one")
    one, two = SHORT.tune(context), context.prior.reload(folder_of(context_of(tmp_path / "two")))
    level, conditions = (
        context.prior.schedule.levels(torch.arange(9) * 110),
        context.prior.condition(torch.arange(9) % 3),
    )
    x = torch.randn(9, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    answers = [prior.denoise(x, level, conditions).clean for prior in (one, two, context.prior)]
    apart = (answers[0] - answers[2]).abs().max()
    assert (answers[0] - answers[1]).abs().max() < 1e-3 * apart, "rounding is small beside what the tuning changed"


def test_it_depends_on_neither_seed_nor_ipc_of_the_recipe_and_is_made_once(tmp_path):
    shown = []

    def progress(items, what, total=None):
        shown.append(what)
        return items

    pipe = pipeline()
    before = fingerprint_state(pipe.transformer)
    recipe = Recipe(real=_Source(data()), prior=LatentDiffusion(pipe), steering=(SHORT, Sample(steps=4)), ipc=2)
    other = replace(recipe, seed=1, ipc=1)
    plain = replace(recipe, steering=(Sample(steps=4),))
    made = [distill(one, tmp_path / str(i), progress=progress) for i, one in enumerate((recipe, other, plain))]
    assert shown.count("fine-tune") == 1
    assert not torch.equal(made[0].images.stored(range(6)), made[2].images.stored(range(6)))
    assert fingerprint_state(pipe.transformer) == before, "the user's own pipeline was tuned"


def test_the_result_is_a_stock_pipeline_with_a_card(context):
    SHORT.tune(context)
    pipe = diffusers.DiTPipeline.from_pretrained(str(folder_of(context)))
    pipe.set_progress_bar_config(disable=True)
    (row,) = pipe.get_label_ids(["owl"])
    assert row == 2
    assert pipe(class_labels=[row], num_inference_steps=2, output_type="np").images.shape == (1, 8, 8, 1)
    assert repr(SHORT) in (folder_of(context) / "README.md").read_text()
    LatentDiffusion(str(folder_of(context))).check(context.real)


def test_keeps_the_contract(context):
    check_steering(example(FineTune), context)
    check_steering(replace(SHORT, parameters=LoRA(2), random_flip=True), context)


def test_a_plan_tunes_nothing(context):
    assert SHORT.tune(replace(context, dry=True)) is context.prior
    assert not (context.store.root / "finetuned").exists()


def test_bfloat16_and_mirrored_pictures(context):
    tuned = replace(SHORT, mixed_precision="bf16", random_flip=True).tune(context)
    assert next(tuned.denoiser.parameters()).dtype == torch.float32
    assert changed(weights(SHORT.tune(context)), weights(tuned))
    real = RealLatents((torch.zeros(2, 1), torch.ones(3, 1)), (torch.full((2, 1), 2.0), torch.full((3, 1), 3.0)))
    found = real.read(torch.tensor([0, 4, 1, 2]), torch.tensor([False, True, True, False]))
    assert found.flatten().tolist() == [0, 3, 2, 1]


@dataclass(frozen=True)
class Sour(Objective):
    """Finite until it is not."""

    weight: float = 1.0

    def bind(self, context):
        return lambda synthetic: synthetic.clean.flatten(1).mean(1) * (float("inf") if synthetic.step == 2 else 0.0)


def test_a_loss_that_is_not_finite_is_named(context, tmp_path):
    with pytest.raises(Diverged, match=r"Sour\(.*not finite at step 2"):
        replace(PLAIN, objectives=(Watching(), Sour())).tune(context)
    with pytest.raises(Diverged, match="the diffusion loss is not finite at step 1; lower learning_rate=1e"):
        replace(PLAIN, learning_rate=1e38, checkpointing_steps=2).tune(context_of(tmp_path / "other"))
    assert not list((tmp_path / "other" / "finetuned").rglob("checkpoint-*")), "a broken state was kept"


def test_a_state_that_begins_anew_is_saved_only_there(context, monkeypatch):
    monkeypatch.setattr(Watching, "period", 3, raising=False)
    made, _ = stage(replace(SHORT, objectives=(Watching(),), checkpointing_steps=4), context)
    assert made.checkpointing_steps == 6


def test_batches_hold_their_classes_equally_and_every_picture_comes_once_before_any_comes_again():
    counts, each = [6, 4, 8, 2, 10], 2
    labels = torch.arange(5).repeat_interleave(torch.tensor(counts))
    take = balanced(counts, 3, seed=1)
    batches = [take(start, 3 * each) for start in range(0, 6 * 50, 6)]
    for one in batches:
        assert torch.bincount(labels[one], minlength=5).sort().values.tolist() == [0, 0, 2, 2, 2]
        assert torch.equal(labels[one], labels[one].sort().values)
    shown = torch.cat(batches)
    assert torch.bincount(labels[shown]).tolist() == [60] * 5
    for index, count in enumerate(counts):
        epochs = shown[labels[shown] == index].split(count)
        assert all(len(one.unique()) == len(one) for one in epochs)
    assert torch.equal(balanced(counts, 3, seed=1)(6 * 31, 6), batches[31])
    assert not torch.equal(balanced(counts, 3, seed=2)(0, 6), batches[0])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch": 8, "classes": 3}, "nearest that does: batch=9"),
        ({"batch": 2, "classes": 3}, "nearest that does: batch=3"),
        ({"epochs": 0}, "at least 1"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"window": (0.5, 0.5)}, "window"),
        ({"lr_scheduler": "cosin"}, "cosine"),
        ({"learning_rate": float("nan")}, "learning_rate > 0"),
        ({"objectives": (Sparsity(weight=-1.0),)}, "weights of at least 0"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(settings, says):
    with pytest.raises(UserError, match=says):
        FineTune(**settings)


def test_what_does_not_fit_prior_device_or_data_is_refused(context, tmp_path):
    with pytest.raises(UserError, match="FineTune needs a prior that trains; Pixels does not"):
        Recipe(real=_Source(data()), prior=Pixels(), steering=(SHORT,))
    with pytest.raises(UserError, match="prior that trains; ToyPrior does not"):
        SHORT.tune(toy_context(tmp_path))
    with pytest.raises(UserError, match="needs a GPU"):
        replace(SHORT, mixed_precision="fp16").tune(context)
    with pytest.raises(UserError, match="animals has 3"):
        FineTune(batch=8, classes=4).check(context.real, 1)
    for part in (DiffFit(), LoRA()):
        with pytest.raises(UserError, match="use Everything"):
            part.attach(torch.nn.Linear(2, 2), 0)


def test_a_long_average_is_told(context, caplog):
    replace(SHORT, ema_decay=0.99).tune(context)
    assert "93 % the prior's own" in caplog.text
