"""A fine-tuned prior is a stock pipeline, or low-rank changes that one loads; it draws what ours draws, however it was made."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import diffusers
import peft
import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalTokenNotFoundError
from PIL import Image
from safetensors.torch import load_file

from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.finetuning import LORA_FILE, FineTuning, finetune, tuning
from gendistill.objectives.diversity import Diversity
from gendistill.objectives.representativeness import Representativeness
from gendistill.priors.difffit import DiffFit
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.lora import LoRA
from gendistill.priors.named import framed, prior_of
from gendistill.priors.parameters import Everything
from gendistill.priors.pixels import Pixels
from gendistill.priors.text_to_image import TextToImage
from gendistill.priors.training.finetune import diffusion_loss
from gendistill.priors.training.look import Look, asked, draw
from gendistill.priors.training.loop import Batch
from gendistill.priors.training.tuned_card import card
from gendistill.prompts import Prompts
from gendistill.seeds import stream
from gendistill.steering.finetune import FineTune
from gendistill.steering.sample import Sample
from gendistill.system.store import Store, fingerprint
from gendistill.toys import ToyData
from gendistill.types import LATENT, Conditions, UserError
from tests.priors.test_latent_diffusion import pipeline as dit
from tests.priors.test_text_to_image import CFG, CPU, data, loaded, placed, settings, stock
from tests.priors.tiny_pipelines import BUILDERS, tiny

QUICK = FineTuning(
    parameters=LoRA(rank=2, alpha=12),
    max_train_steps=3,
    train_batch_size=4,
    learning_rate=1e-2,
    num_validation_images=0,
)
OBJECTIVES = (Representativeness(weight=0.5), Diversity(weight=0.5))


@pytest.fixture
def tune(tmp_path):
    """Fine-tunes a tiny pipeline into a folder of this name."""

    def tune(name="stable_diffusion", into="tuned", how=QUICK, objectives=(), prior=None, **more):
        given = settings(name) if prior is None else prior
        return finetune(given, data(name), tmp_path / into, how, objectives, store=Store(tmp_path / "cache"), **more)

    return tune


def latents(name, prior, folder):
    """What a prior of ours draws."""
    context, draft = placed(name, folder, prior)
    return Sample(steps=4, cfg=CFG.get(name, 3.0))(draft, context).latents[LATENT]


def theirs(name, pipe, prior):
    """What a stock pipeline draws."""
    pipe.set_progress_bar_config(disable=True)
    return prior.family.unpacked(stock(name, pipe, prior), prior.latent_shape[-1])


def changes(folder):
    """What follows from the low-rank changes in a folder; not from the order in which their file holds its notes."""
    return fingerprint(*sorted((name, fingerprint(value)) for name, value in load_file(folder / LORA_FILE).items()))


def same(one, other):
    scale = float(one.abs().max().clamp_min(1))
    torch.testing.assert_close(one / scale, other / scale, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", BUILDERS)
def test_low_rank_changes_draw_in_the_stock_pipeline_what_they_draw_here(name, tune, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = tune(name)
    context, _ = placed(name, tmp_path, loaded(name))
    ours = latents(name, FineTune(**tuning(QUICK)).tune(context), tmp_path)
    if name.startswith("pixart"):
        assert "PixArt" in caplog.text and "has no load_lora_weights" in caplog.text
        pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
        adapted = tiny(name)
        adapted.transformer = peft.PeftModel.from_pretrained(
            adapted.transformer, str(folder / "adapter")
        ).merge_and_unload()
        same(ours, theirs(name, adapted, loaded(name)))
    else:
        assert {path.name for path in folder.iterdir()} == {LORA_FILE, "README.md", "training.json"}
        pipe = tiny(name)
        pipe.load_lora_weights(folder)
    same(ours, theirs(name, pipe, loaded(name)))
    assert (ours - latents(name, loaded(name), tmp_path)).abs().max() > 1e-3
    (told,) = (context.store.root / "finetuned").glob("*/README.md")
    assert f"`{type(pipe).__name__}`" in told.read_text() and "DiTPipeline" not in told.read_text()


def test_convolutions_may_change_too_and_the_stock_pipeline_loads_them(tune, tmp_path):
    wide = replace(QUICK, parameters=replace(QUICK.parameters, beside=("conv1", "ff.net.2")))
    folder = tune("stable_diffusion", how=wide)
    assert any("conv1.lora_A" in name for name in load_file(folder / LORA_FILE))
    context, _ = placed("stable_diffusion", tmp_path, loaded("stable_diffusion"))
    ours = latents("stable_diffusion", FineTune(**tuning(wide)).tune(context), tmp_path)
    pipe = tiny("stable_diffusion")
    pipe.load_lora_weights(folder)
    same(ours, theirs("stable_diffusion", pipe, loaded("stable_diffusion")))


def test_layers_that_are_not_there_are_refused(tune):
    with pytest.raises(UserError, match="no layers called onv1"):
        tune("stable_diffusion", how=replace(QUICK, parameters=replace(QUICK.parameters, beside=("onv1",))))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("stable_diffusion", Everything()), ("sd3", Everything()), ("flux", Everything()), ("pixart_sigma", DiffFit())],
    ids=["unet", "sd3", "flux", "difffit"],
)
def test_other_changes_come_out_as_a_whole_pipeline(name, parameters, tune, tmp_path):
    how = replace(QUICK, parameters=parameters, learning_rate=1e-3, ema_decay=0.5)
    folder = tune(name, how=how)
    ours = latents(name, FineTune(**tuning(how)).tune(placed(name, tmp_path, loaded(name))[0]), tmp_path)
    same(ours, theirs(name, diffusers.DiffusionPipeline.from_pretrained(folder), loaded(name)))
    assert (ours - latents(name, loaded(name), tmp_path)).abs().max() > 1e-3


@pytest.mark.parametrize("parameters", [Everything(), LoRA(2, 6), DiffFit()], ids=repr)
def test_a_dit_comes_out_whole_too(parameters, tmp_path):
    real = ToyData(classes=2, per_class=4, channels=1).open()
    how = replace(QUICK, parameters=parameters, learning_rate=1e-2)
    prior = LatentDiffusion(dit(), rows=(0, 2))
    folder = finetune(prior, real, tmp_path / "tuned", how, store=Store(tmp_path))
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    before = prior.load(real, CPU, torch.float32)
    after = replace(prior, source=str(folder)).load(real, CPU, torch.float32)
    x, level, conditions = torch.randn(2, 4, 4, 4), before.schedule.level(500), before.condition(torch.tensor([0, 1]))
    one, two = (each.denoise(x, level, conditions).clean for each in (before, after))
    assert type(pipe).__name__ == "DiTPipeline" and (one - two).abs().max() > 1e-3
    assert (folder / "adapter" / "adapter_config.json").exists() == isinstance(parameters, LoRA)
    assert "DiTPipeline.from_pretrained" in (folder / "README.md").read_text()


def interrupted(items, what, total=None):
    for item in items:
        if item == 3:
            raise KeyboardInterrupt
        yield item


@pytest.mark.parametrize("name", ["stable_diffusion", "sana"])
def test_an_interrupted_training_goes_on_to_the_same_bits(name, tune, tmp_path):
    how = replace(QUICK, max_train_steps=5, gradient_accumulation_steps=2, checkpointing_steps=2, ema_decay=0.5)
    whole = tune(name, "whole", how, OBJECTIVES)
    with pytest.raises(KeyboardInterrupt):
        tune(name, "broken", how, OBJECTIVES, progress=interrupted)
    (tmp_path / "broken" / ".checkpoint-4.part").mkdir()
    checkpoint = tmp_path / "broken" / "checkpoint-2" / "model.safetensors"
    assert checkpoint.stat().st_size < 100_000, "a checkpoint holds what is not trained"
    with pytest.raises(UserError, match="interrupted training .checkpoint-2.*latest"):
        tune(name, "broken", how, OBJECTIVES)
    with pytest.raises(UserError, match="objectives: "):
        tune(name, "broken", how, resume_from_checkpoint="latest")
    with pytest.raises(UserError, match="'learning_rate|learning_rate: 0.01, now 0.02"):
        tune(name, "broken", replace(how, learning_rate=2e-2), OBJECTIVES, resume_from_checkpoint="latest")
    seen = []
    more = {"progress": lambda items, what, total=None: (seen.append((what, i)) or i for i in items)}
    again = tune(
        name, "broken", replace(how, checkpointing_steps=3), OBJECTIVES, resume_from_checkpoint="latest", **more
    )
    assert [step for what, step in seen if what == "fine-tune"] == [2, 3, 4]
    assert changes(whole) == changes(again)
    tune(name, "broken", how, OBJECTIVES, progress=interrupted)  # it is finished: nothing is done


def test_objectives_and_settings_reach_the_weights(tune):
    def bits(into, how=QUICK, objectives=()):
        return changes(tune(into=into, how=how, objectives=objectives))

    plain = bits("plain")
    assert plain == bits("again")
    changed = {
        "objectives": bits("objectives", objectives=OBJECTIVES),
        "window": bits("window", replace(QUICK, window=(0.0, 0.5)), OBJECTIVES),
        "snr": bits("snr", replace(QUICK, snr_gamma=5.0)),
        "accumulation": bits("accumulation", replace(QUICK, gradient_accumulation_steps=2)),
        "dropout": bits("dropout", replace(QUICK, proportion_empty_prompts=0.9)),
        "flip": bits("flip", replace(QUICK, random_flip=True)),
    }
    assert len({plain, *changed.values()}) == 1 + len(changed)


@pytest.mark.parametrize("name", ["stable_diffusion", "sd3"])
def test_it_learns(name, tmp_path):
    context, _ = placed(name, tmp_path, loaded(name))
    step = FineTune(**tuning(replace(QUICK, max_train_steps=60, learning_rate=3e-3)))
    real, positions = step.latents(context), torch.tensor([0, 3, 4, 7])
    looks = [draw(context.prior, step, real, Batch(positions, stream(n), slice(0, 4), 0), CPU) for n in range(12)]

    @torch.no_grad()
    def loss(prior):
        answers = [prior.denoise(look.x, look.level, look.conditions).clean for look in looks]
        return float(sum(diffusion_loss(prior, look, clean) for look, clean in zip(looks, answers, strict=True)))

    assert loss(step.tune(context)) < 0.95 * loss(context.prior)


def test_activations_computed_again_give_the_same_changes(tune):
    one, two = (
        load_file(tune(into=str(again), how=replace(QUICK, gradient_checkpointing=again)) / LORA_FILE)
        for again in (False, True)
    )
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-4, rtol=1e-3)
    tune(into="half", how=replace(QUICK, gradient_checkpointing=True, mixed_precision="bf16"))


def test_min_snr_weighs_the_clean_estimate():
    """Eq. 8 of Min-SNR for a noise head: min(SNR, 5) / SNR |e - e'|^2, and |e - e'|^2 = SNR |c - z|^2."""
    prior = loaded("stable_diffusion")
    level = prior.schedule.levels(torch.tensor([10, 400, 990]))
    real, clean = torch.randn(2, 3, 4, 4, 4)
    look = Look(
        real, real, level, Conditions({}), torch.zeros(3, dtype=torch.long), torch.zeros(3, 3, dtype=torch.long)
    )
    snr = (level.alpha / level.sigma) ** 2
    noise = snr * (clean - real).square().flatten(1).mean(1)
    wanted = (snr.clamp_max(5) / snr * noise).mean()
    torch.testing.assert_close(diffusion_loss(prior, look, clean, 5.0), wanted)


def test_every_template_is_learned_and_what_asks_for_nothing_is_the_empty_prompt():
    prompts = Prompts(("{name}", "a drawing of {name}", "one {name}"), negative="bad")
    prior = settings("stable_diffusion", prompts=prompts).load(data(), CPU, torch.float32)
    labels = torch.zeros(40, dtype=torch.long)
    conditions = asked(prior, labels, stream("any"))
    said = [prior.condition_on([filled]).values["text"][0] for filled in prompts.each(data().classes[0])]
    times = [sum(torch.equal(row, text) for row in conditions.values["text"]) for text in said]
    assert sum(times) == 40 and min(times) > 5
    assert torch.equal(conditions.null["text"][0], prior.condition_on([""]).values["text"][0])


def test_it_is_shown_while_it_trains(tune):
    how = replace(QUICK, num_validation_images=3, validation_steps=2, num_inference_steps=2, ema_decay=0.5)
    folder = tune(how=how)
    drawn = sorted(path.name for path in (folder / "validation").iterdir())
    assert drawn == ["step-000000.png", "step-000002.png", "step-000003.png"]
    pictures = [(folder / "validation" / name).read_bytes() for name in drawn]
    assert len(set(pictures)) == 3
    assert "validation/step-000003.png" in (folder / "README.md").read_text()
    asked = tune(into="asked", how=replace(how, validation_prompt="a photo of class 1"))
    heights = []
    for one in (folder, asked):
        with Image.open(one / "validation" / drawn[0]) as picture:
            heights.append(picture.height)
    assert heights == [2 * 68 + 4, 68 + 4], "a class a row, or the prompt"
    plain = tune(into="plain", how=replace(QUICK, ema_decay=0.5))
    assert changes(plain) == changes(folder), "drawing changed the weights"


def test_a_card_says_what_it_is_of():
    prior, real = loaded("stable_diffusion"), data()
    origin = {"name": "some/one", "source": "some/one", "licence": "mit"}
    text = card(prior, origin, real, "made", adapter=True, command="typed")
    head = text.split("---")[1]
    for line in (
        'license: "mit"',
        'base_model: "some/one"',
        'base_model_relation: "adapter"',
        '"text-to-image"',
        '"lora"',
    ):
        assert line in head
    assert (
        'from_pretrained("some/one")\npipe.load_lora_weights("THIS_FOLDER")\nimage = pipe("a photo of a class 0")'
        in text
    )
    assert "`StableDiffusionPipeline`" in text and "typed" in text and "DiTPipeline" not in text
    local = card(prior, {"name": "home/mine", "source": "/nowhere"}, real, "made")
    assert "load_lora" not in local and 'license: "other"' in local


# the command line


@pytest.fixture
def words(tmp_path):
    """A stock folder and a folder of pictures, and the words that tune the one on the other."""
    tiny("stable_diffusion").save_pretrained(tmp_path / "stock")
    dice = torch.Generator().manual_seed(0)
    for name in ("owl", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = torch.randint(0, 256, (12, 20, 3), generator=dice, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(tmp_path / "photos" / name / f"{number}.png")
    return [
        "finetune", "--pretrained_model_name_or_path", str(tmp_path / "stock"), "--train_data", str(tmp_path / "photos"),
        "--output_dir", str(tmp_path / "tuned"), "--max_train_steps", "2", "--train_batch_size", "2", "--device", "cpu",
        "--num_validation_images", "0",
    ]  # fmt: skip


def test_the_command_tunes_on_a_folder_and_uploads(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    told = {}

    class Repository:
        repo_id = "me/tuned"

    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, **more: told.update(name=name) or Repository)
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **more: told.update(more, token=self.token))
    more = [
        *("--rank", "3", "--lora_alpha", "9", "--prompts", "one {name}", "--learning_rate", "1e-2"),
        *("--objectives", "Diversity(weight=0.1)", "--push_to_hub", "--hub_token", "hf_secret"),
    ]
    monkeypatch.setattr("sys.argv", ["gendistill", *words, *more])
    assert execute(cli, [*words, *more]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'tuned'}\n"
    assert (told["name"], told["repo_id"], told["token"]) == ("tuned", "me/tuned", "hf_secret")
    note = json.loads((tmp_path / "tuned" / "training.json").read_text())
    assert note["settings"]["rank"] == 3 and note["objectives"].endswith("weight=0.1),)")
    text = (tmp_path / "tuned" / "README.md").read_text()
    assert "--push_to_hub" in text and "secret" not in text and "--hub_token" not in text and 'pipe("one cat")' in text
    pipe = tiny("stable_diffusion")
    pipe.load_lora_weights(tmp_path / "tuned")
    (adapter,) = pipe.unet.peft_config.values()
    assert (adapter.r, adapter.lora_alpha) == (3, 9)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--rank", "0"], "LoRA needs rank >= 1"),
        (["--rank", "2", "--parameters", "Everything"], "rank and lora_alpha are LoRA's"),
        (["--parameters", "LoRa"], "must be a Parameters (DiffFit, Everything, LoRA), not 'LoRa'; did you mean 'LoRA'"),
        (["--parameters", "DiffFit"], "UNet2DConditionModel has none: use Everything() or LoRA()"),
        (["--mixed_precision", "fp8"], "'fp8' is not one of 'no', 'bf16', 'fp16'"),
        (["--lr_scheduler", "cosin"], "did you mean cosine"),
        (["--max_train_steps", "0"], "max_train_steps=0 must be at least 1"),
        (["--objectives", "Diversty()"], "no part 'Diversty'; did you mean 'Diversity'"),
        (["--objectives", "Sample()"], "--objectives.0 must be a Objective"),
        (["--prompts", "one " + "very " * 30 + "{name}"], "which takes 77"),
        (["--validation_prompt", "z" * 76, "--num_validation_images", "1"], "which takes 77"),
        (["--resolution", "9"], "multiples of 2 px; its own size is 8"),
        (["--hub_model_id", "me/tuned"], "do nothing without --push_to_hub"),
        (["--train_data", "nowhere"], "--train_data must be a Source"),
    ],
)
def test_a_mistake_is_told(more, says, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    assert execute(cli, [*words, *more]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")
def test_a_hub_id_that_is_not_there_is_answered_with_the_offline_way():
    with pytest.raises(UserError, match="(?s)'nobody/nothing'.*Without a network.*hf download nobody/nothing"):
        prior_of("nobody/nothing")


def test_a_repository_that_cannot_be_made_is_told_before_anything_is_trained(words, tmp_path, monkeypatch, capsys):
    def refused(self, name, **more):
        raise LocalTokenNotFoundError("Token is required")

    monkeypatch.setattr(HfApi, "create_repo", refused)
    assert execute(cli, [*words, "--push_to_hub"]) == 2
    assert (
        "'tuned' cannot be written on the hub: Token is required. Log in with `hf auth login`"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "tuned").exists()


def test_priors_are_known_by_their_index(tmp_path):
    dit().save_pretrained(tmp_path / "dit")
    tiny("sana").save_pretrained(tmp_path / "sana")
    assert isinstance(prior_of(str(tmp_path / "dit")), LatentDiffusion)
    prior = prior_of(str(tmp_path / "sana"), prompts='Prompts(("{name}", "a {name}"), negative="bad")')
    assert isinstance(prior, TextToImage) and prior.prompts == Prompts(("{name}", "a {name}"), negative="bad")
    source = ToyData(classes=2)
    assert framed(source, prior, None) == source
    for wrong, says in (
        ({"prompts": "a {name}"}, "asked for classes"),
        ({"variant": "fp16"}, "is for text-to-image pipelines"),
    ):
        with pytest.raises(UserError, match=says):
            prior_of(str(tmp_path / "dit"), **wrong)


def test_what_does_not_fit_is_refused(tune, tmp_path):
    real = ToyData(classes=2, per_class=4, channels=1).open()
    with pytest.raises(UserError, match="needs a prior that trains; Pixels"):
        finetune(Pixels(), real, tmp_path / "tuned")
    whole = LatentDiffusion(dit(), rows=(0, 1))
    with pytest.raises(UserError, match="draws 8 px and nothing else"):
        finetune(whole, real, tmp_path / "tuned", FineTuning(resolution=16))
    with pytest.raises(UserError, match="is asked for classes"):
        finetune(whole, real, tmp_path / "tuned", FineTuning(validation_prompt="a cat"))
    with pytest.raises(UserError, match="snr_gamma is for variance preserving"):
        tune("sd3", how=replace(QUICK, snr_gamma=5.0))
    with pytest.raises(UserError, match="proportion_empty_prompts=1"):
        FineTuning(proportion_empty_prompts=1.0)
