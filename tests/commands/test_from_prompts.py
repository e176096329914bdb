"""`gendistill generate`: a labelled set from prompts alone, or an error before any work, on tiny models."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.commands.from_prompts import FromPrompts
from gendistill.config.pipeline import find_pipeline
from gendistill.evaluation.evaluate import evaluate
from gendistill.experiments.plan import plan
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import Relabel
from gendistill.nets.zero_shot import Clip
from gendistill.running.distill import distill
from gendistill.running.load import load
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident
from gendistill.types import UserError
from tests.parts_under_test import save_clip
from tests.priors.tiny_pipelines import tiny


@pytest.fixture(scope="session")
def prior(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    tiny("stable_diffusion").save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def words(prior, out, *more):
    return ["generate", "--prior", prior, "--classes", "tench,n03445777", "--ipc", "2", "--steps", "2", "--device", "cpu",
            "--template", "{name}", "--out", str(out), *more]  # fmt: skip


def rows(folder):
    return pq.read_table(next((folder / "dataset" / "data").iterdir())).to_pylist()


def test_a_set_comes_out_with_its_prompts(prior, tmp_path, capsys):
    assert execute(cli, words(prior, tmp_path / "run", "--negative", "a drawing, a cartoon", "--seed", "3")) == 0
    assert "nothing was evaluated" in capsys.readouterr().out
    found = rows(tmp_path / "run")
    assert [row["prompt"] for row in found] == ["tench", "tench", "golf ball", "golf ball"]
    assert [(row["class_id"], row["seed"]) for row in found] == [("n01440764", 3)] * 2 + [("n03445777", 3)] * 2
    assert "log_probs" not in found[0]
    picture = Image.open(io.BytesIO(found[1]["image"]["bytes"]))
    said, negative, settings = picture.text["parameters"].splitlines()
    assert (picture.size, said, negative) == ((8, 8), "tench", "Negative prompt: a drawing, a cartoon")
    assert "Steps: 2, " in settings and "CFG scale: 4.0, Seed: 3, " in settings and "Id: 00000-00001-00000" in settings
    assert 'Steering: "(Sample(steps=2, ' in settings and "diffusers " in picture.text["Software"]
    page, card = ((tmp_path / "run" / name).read_text() for name in ("report.html", "dataset/README.md"))
    assert "<li>golf ball</li>" in page and "Not measured: there were no real pictures" in page
    assert "No accuracy was measured" in card and "| `prompt` |" in card and "No real picture had a part" in card
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["rows"] == []
    made = load(tmp_path / "run")
    assert made.prompts == ("tench", "tench", "golf ball", "golf ball")
    with pytest.raises(UserError, match="2 class names are no pictures to judge a set by"):
        evaluate(made)


def test_a_run_resumes_and_is_made_again_by_its_recipe(prior, tmp_path, capsys):
    out = tmp_path / "run"
    assert execute(cli, words(prior, out)) == 0
    before = rows(out)
    assert execute(cli, words(prior, out)) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    (out / "sets" / "seed-0" / "set.json").unlink()
    next((out / "sets" / "seed-0" / "shards" / "pictures").iterdir()).unlink()
    assert execute(cli, words(prior, out, "--resume")) == 0
    assert rows(out) == before
    assert execute(cli, ["run", str(out / "recipe.py"), "--out", str(tmp_path / "again"), "--device", "cpu"]) == 0
    assert rows(tmp_path / "again") == before
    assert "4 pictures in each of 1 sets" in str(plan(*_stated(out / "recipe.py")))


def _stated(file):
    found = find_pipeline(str(file))
    return found.recipe, found.protocol


def test_zero_shot_classifiers_choose_and_label(prior, clip, tmp_path):
    told = FromPrompts(prior=prior, classes="tench, golf ball", ipc=2, steps=2, template="{name}", clip=clip)
    recipe = told.recipe()
    made = distill(recipe, tmp_path / "set")
    pool = distill(FromPrompts(prior=prior, classes="tench, golf ball", ipc=2, steps=2, template="{name}").recipe())
    assert recipe.steering[0].copies == 4 and isinstance(recipe.labeler, Relabel)
    net = Clip(clip).classifier(made.classes, torch.device("cpu"))
    answers = net(made.images.pixels(range(4))).log_softmax(1)
    torch.testing.assert_close(made.soft.at(torch.arange(4)), answers)
    chosen = answers.gather(1, made.labels.view(-1, 1)).exp().view(2, 2)
    assert bool((chosen[:, 0] >= chosen[:, 1]).all()), "the surest first"
    first = net(pool.images.pixels(range(4))).softmax(1).gather(1, pool.labels.view(-1, 1)).view(2, 2)
    assert bool((chosen.sum(1) > first.sum(1)).all()), "the best of four are better than the first"
    assert made.prompts == ("tench", "tench", "golf ball", "golf ball")
    assert made.origin["teachers"] == [{"name": f"{clip}, zero-shot"}]


def test_labels_and_sizes_as_asked(prior, clip, tmp_path):
    hard = FromPrompts(prior=prior, subset="imagewoof", clip=f"{clip},{clip}", soft=False, oversample=2).recipe()
    assert isinstance(hard.labeler, Hard) and isinstance(hard.steering[1], SelectConfident)
    assert len(hard.steering[1].teachers) == 2 and hard.steering[0].copies == 2 and len(hard.real.chosen()) == 10
    assert (hard.real.size, hard.prior.size) == (8, None), "the checkpoint's own size"
    small = FromPrompts(prior=prior, subset="imagewoof", size=4).recipe()
    assert (small.real.size, small.prior.size, small.steering[0].copies) == (4, 8, 1)
    own = FromPrompts(prior=f'TextToImage("{prior}", size=8)', subset="imagewoof", size=16).recipe()
    assert (own.real.size, own.prior.size) == (16, 8)
    with pytest.raises(UserError, match="--size is needed with --prior Pixels"):
        FromPrompts(prior="Pixels()", subset="imagewoof").recipe()


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--classes", "crane"], "'crane' is the name of several things"),
        (["--classes", "tnehc"], "nothing of ImageNet is called 'tnehc'"),
        (["--subset", "imagewof"], "did you mean 'imagewoof'"),
        (["--subset", "imagewoof", "--classes", "tench"], "imagewoof has no class 'tench'"),
        (["--prior", "nobody/nothing"], "hf download nobody/nothing"),
        (["--prior", "Pixels()"], "prompts are for priors that are asked in words; Pixels() is asked for classes"),
        (["--prior", "Sample()"], "Sample() is no prior"),
        (["--template", "a photo"], "it says the same of every class"),
        (["--template", "{name}" + " and more" * 12], "which takes 77"),
        (["--clip", "ViT-B-32"], "names no weights"),
        (["--clip", "ViT-Z-32/openai"], "no model called 'ViT-Z-32'; near: "),
        (["--clip", "ViT-B-32/opnai"], "no weights 'opnai' of ViT-B-32, but openai, "),
        (["--clip", "ViT-B-32/openai"], "Where there is no network"),
        (["--oversample", "3"], "nobody chooses among them"),
        (["--soft"], "--soft needs somebody who labels"),
        (["--scheduler", "DIM"], "DIM"),
        (["--ipc", "0"], "ipc >= 1"),
        (["--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_a_mistake_is_told_before_any_work(prior, tmp_path, capsys, more, says):
    assert execute(cli, words(prior, tmp_path / "run", *more)) == 2
    told = capsys.readouterr()
    assert says in told.err and "Traceback" not in told.err and not told.out
    assert not (tmp_path / "run").exists()


def test_a_pipeline_that_is_asked_for_rows_draws_those_of_the_names(tmp_path, capsys):
    from tests.priors.test_latent_diffusion import pipeline as dit

    dit(names=("tench, Tinca tinca", "golf ball")).save_pretrained(tmp_path / "dit")
    told = FromPrompts(prior=str(tmp_path / "dit"), classes="golf ball,tench", ipc=1, steps=2)
    recipe = told.recipe()
    assert (recipe.real.size, recipe.real.channels, recipe.steering[0].cfg) == (8, 1, Sample().cfg)
    made = distill(recipe, tmp_path / "set")
    assert recipe.prior.load(recipe.real.open(), torch.device("cpu"), torch.float32).rows.tolist() == [1, 0]
    assert made.images.shape == (1, 8, 8) and made.prompts is None
    for wrong, says in (({"size": 16}, "draws 8 px and nothing else"), ({"template": "{name}"}, "asked for classes")):
        with pytest.raises(UserError, match=says):
            replace(told, **wrong).recipe()
    unknown = ["--classes", "goldfish", "--out", str(tmp_path / "run")]
    assert execute(cli, ["generate", "--prior", told.prior, *unknown]) == 2
    assert "goldfish" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "cfg"), [("consistency", 1.0), ("flux", 1.0), ("stable_diffusion", Sample().cfg)])
def test_guidance_that_was_distilled_in_is_not_done_twice(name, cfg, tmp_path, capsys):
    tiny(name).save_pretrained(tmp_path)
    told = FromPrompts(prior=str(tmp_path), classes="tench,golf ball")
    assert told.recipe().steering[0].cfg == cfg
    assert replace(told, cfg=2.5).recipe().steering[0].cfg == 2.5
    assert execute(cli, ["generate", "--help"]) == 0
    assert "1 for networks that guidance was distilled into" in " ".join(capsys.readouterr().out.split())


def test_a_clip_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no CLIP: open_clip_config.json and the weights"):
        Clip(str(tmp_path)).check()
