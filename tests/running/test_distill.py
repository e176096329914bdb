"""A run is a function of its recipe: the same bits whatever the interruptions, the block size or the number of pictures."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from gendistill import seeds
from gendistill.anchors.inverted import Inverted
from gendistill.anchors.modes import Modes
from gendistill.anchors.real_pictures import RealPictures
from gendistill.context import open_real
from gendistill.images import StoredImages
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets.convnet import ConvNet
from gendistill.nets.guessing import check_teachers
from gendistill.nets.sampling import Fixed, Fresh
from gendistill.nets.trained import Trained
from gendistill.objectives.base import Objective
from gendistill.objectives.batch_norm import BatchNorm
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.learnability import Learnability
from gendistill.objectives.margin import Margin
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.objectives.picture_pull import PicturePull
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.running import distill as runs
from gendistill.running import execute
from gendistill.running.distill import distill, open_context
from gendistill.running.load import load, read_set
from gendistill.steering import optimize
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.select import Select
from gendistill.steering.select_confident import SelectConfident
from gendistill.steering.start import Start
from gendistill.system.locks import alone
from gendistill.system.store import read_tensors
from gendistill.toys import Toy, ToyData
from gendistill.types import Diverged, UserError
from tests.parts_under_test import TEACHER

MATCH = Optimize((MeanFeatures(Fresh(ConvNet(depth=2, width=8))),), steps=3, lr=0.05)
PLAIN = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=5, scheduler="DDPM"),), ipc=4, block=4)
STEERED = replace(
    PLAIN,
    steering=(Sample(steps=5, guides=(Guide(ModePull(weight=0.3)),)), MATCH),
    labeler=Relabel((TEACHER,), average="probs"),
)


def stored(made):
    return made.images.stored(range(len(made.images)))


@pytest.mark.parametrize("recipe", [PLAIN, STEERED], ids=["plain", "steered"])
def test_a_killed_run_ends_with_the_same_bytes(recipe, tmp_path, monkeypatch):
    whole = distill(recipe, tmp_path / "whole")
    write, calls = execute.write_tensors, []

    def killed(path, tensors):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(path)
        write(path, tensors)

    monkeypatch.setattr(execute, "write_tensors", killed)
    with pytest.raises(KeyboardInterrupt):
        distill(recipe, tmp_path / "killed")
    monkeypatch.setattr(execute, "write_tensors", write)
    done = {path: path.stat().st_mtime_ns for path in calls}
    resumed = distill(recipe, tmp_path / "killed")
    assert {path: path.stat().st_mtime_ns for path in calls} == done, "a finished shard was made again"
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.safetensors")]
    assert files
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes(), file
    positions = torch.arange(len(whole.images))
    assert torch.equal(whole.soft.at(positions), resumed.soft.at(positions))


@dataclass(frozen=True)
class Lopsided(Objective):
    """Wants the latents of the last class far higher than any picture's; of the others nothing."""

    weight: float = 30.0
    broken: ClassVar[bool] = True

    def bind(self, context):
        def loss(synthetic):
            return -(synthetic.labels == 2).float() * synthetic.clean.flatten(1).sum(1) * float(self.broken)

        return loss


@pytest.mark.parametrize("step", [Sample(steps=5, guides=(Guide(Lopsided()),)), Optimize((Lopsided(),), lr=1.0)])
def test_what_diverges_in_a_later_shard_leaves_the_finished_ones(step, tmp_path, monkeypatch):
    """The same recipe goes on from them once its cause is mended; a weaker one asks for a folder of its own, and runs there."""
    begun = () if step.begins else (Sample(steps=2),)
    recipe, out = replace(PLAIN, steering=(*begun, step)), tmp_path / "out"
    with pytest.raises(Diverged, match=r"Lopsided.*step \d.*class 2.*lower"):
        distill(recipe, out)
    done = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*.safetensors")}
    assert len([path for path in done if "shards" in path.parts]) >= 2

    change = {"guides": (Guide(Lopsided(weight=0.01)),)} if step.begins else {"lr": 0.01, "steps": 10}
    weaker = replace(recipe, steering=(*begun, replace(step, **change)))
    with pytest.raises(UserError, match="another recipe.*choose another folder"):
        distill(weaker, out)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in done} == done
    assert len(distill(weaker, tmp_path / "weaker").images) == 12

    monkeypatch.setattr(Lopsided, "broken", False)
    resumed = distill(recipe, out)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in done} == done
    assert torch.equal(stored(resumed), stored(distill(recipe, tmp_path / "whole")))


@pytest.mark.parametrize("scheduler", ["DDIM", "DDPM", "DPMSolverMultistep"])
def test_block_size_changes_nothing_but_rounding(scheduler, tmp_path):
    guided = Sample(steps=6, scheduler=scheduler, guides=(Guide(ModePull(weight=0.3)),))
    latents, pictures = [], []
    for block in (4, 3, 1):  # the step of class scope makes the sampler's latents a stage of their own, on disk
        made = distill(replace(PLAIN, block=block, steering=(guided, MATCH)), tmp_path / str(block))
        shards = sorted((tmp_path / str(block) / "shards" / "0-sample").glob("*.safetensors"))
        latents.append(torch.cat([read_tensors(shard)["latent/latent"] for shard in shards]))
        pictures.append(stored(made).int())
    for other, seen in zip(latents[1:], pictures[1:], strict=True):
        torch.testing.assert_close(other, latents[0], atol=1e-4, rtol=0)
        assert (seen - pictures[0]).abs().max() <= 1


def test_a_picture_is_the_same_at_every_ipc(tmp_path):
    five, ten = (distill(replace(PLAIN, ipc=ipc, block=10), tmp_path / str(ipc)) for ipc in (5, 10))
    assert torch.equal(stored(five), stored(ten)[ten.ids[:, 1] < 5])


def test_random_real_pictures_are_real_and_redrawn_by_seed(tmp_path):
    recipe = Recipe(real=ToyData(), prior=Pixels(), steering=(Start(RealPictures()),), ipc=3)
    drawn = [stored(distill(replace(recipe, seed=seed), tmp_path / str(seed))) for seed in (0, 1)]
    real = recipe.real.open().train
    known = {bytes(one.flatten().tolist()) for one in real.stored(range(len(real)))}
    assert all(bytes(one.flatten().tolist()) in known for one in drawn[0])
    assert not torch.equal(*drawn)


def test_oversampling_and_selection_leave_ipc_pictures(tmp_path):
    steps = (Sample(steps=3, oversample=3), Select((ModePull(Modes(count=1)),)))
    made = distill(replace(PLAIN, steering=steps), tmp_path / "out")
    assert torch.bincount(made.labels).tolist() == [4, 4, 4]


def test_what_is_loaded_is_what_was_made(tmp_path):
    made, back = distill(STEERED, tmp_path / "out"), load(tmp_path / "out")
    assert torch.equal(stored(made), stored(back)) and back.classes == made.classes
    positions = torch.arange(len(made.images))
    assert torch.equal(made.soft.at(positions), back.soft.at(positions))


def test_a_folder_of_another_recipe_is_refused_and_left_alone(tmp_path):
    distill(PLAIN, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="another recipe"):
        distill(replace(PLAIN, ipc=3), tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty"):
        distill(PLAIN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match=r"thesis.tex is no folder"):
        distill(PLAIN, tmp_path / "thesis.tex" / "set")


def test_a_folder_whose_mark_was_half_written_is_taken(tmp_path):
    (tmp_path / ".identity.x1.part").touch()
    (tmp_path / ".lock-0").touch()
    distill(PLAIN, tmp_path)
    assert not list(tmp_path.glob("*.part")) and (tmp_path / "set.json").exists()


def test_another_dtype_is_named_where_a_folder_is_refused(tmp_path):
    runs.claim(tmp_path, "begun in float32", True)
    with pytest.raises(UserError, match="another dtype"):
        runs.claim(tmp_path, "begun in bfloat16", True)


def test_a_folder_in_which_another_process_works_is_waited_for(tmp_path):
    out, half = tmp_path / "out", tmp_path / "out" / "shards" / ".half-written.part"
    with alone(out):
        runs.claim(out, runs.identify(PLAIN, open_context(PLAIN, torch.device("cpu"), torch.float32)), True)
        half.parent.mkdir()
        half.touch()
        other = threading.Thread(target=distill, args=(PLAIN, out), daemon=True)
        other.start()
        other.join(1.0)
        assert other.is_alive() and half.exists(), "what the other was writing is gone"
    other.join(60)
    assert (out / "set.json").exists() and not half.exists()


ONLINE = replace(PLAIN, labeler=Online((TEACHER,), "logits", temperature=3.0))


def test_teachers_that_label_online_are_asked_after_the_run_and_once_for_all_its_sets(tmp_path, monkeypatch):
    loaded, real = [], Trained.load
    monkeypatch.setattr(Trained, "load", lambda self, context: loaded.append(self) or real(self, context))
    context = open_context(ONLINE, torch.device("cpu"), torch.float32)
    one, two = (distill(replace(ONLINE, seed=seed), tmp_path / f"{seed}", context=context) for seed in (0, 1))
    assert not loaded, "labels that are made when they are asked for need no teacher before"
    positions = torch.tensor([5, 2])
    wanted = ONLINE.labeler(one.images, context.of(())).at(positions, 1)
    assert one.soft.kind == "online" and torch.equal(one.soft.at(positions, 1), wanted)
    assert not torch.equal(two.soft.at(positions, 1), wanted) and loaded == [TEACHER]


def test_online_labels_of_a_loaded_set_open_the_real_data_alone_where_they_are_asked_for(tmp_path, monkeypatch):
    made = distill(ONLINE, tmp_path / "out")
    monkeypatch.setattr(Toy, "load", lambda *rest: pytest.fail("the prior was opened"))
    again = read_set(tmp_path / "out", lambda text: ONLINE)
    positions = torch.arange(3)
    assert torch.equal(again.soft.at(positions, 2), made.soft.at(positions, 2))
    assert again.soft.fingerprint == made.soft.fingerprint
    elsewhere = read_set(tmp_path / "out", lambda text: ONLINE, device="meta")
    monkeypatch.setattr(Online, "committee", lambda self, context: pytest.fail(f"asked on {context.device}"))
    with pytest.raises(pytest.fail.Exception, match="asked on meta"):
        elsewhere.soft.at(positions)
    with pytest.raises(UserError, match="loaded objects"):
        read_set(tmp_path / "out").soft.at(positions)


def test_real_data_are_opened_without_a_prior():
    context = open_real(ToyData(), torch.device("cpu"))
    assert context.prior is None and context.real.train.fingerprint == ToyData().open().train.fingerprint
    assert torch.equal(
        TEACHER.load(context).head.weight, TEACHER.load(open_context(PLAIN, context.device, context.dtype)).head.weight
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prior": Pixels()}, "denoises"),
        ({"steering": ()}, "at least one"),
        ({"steering": (MATCH,)}, "Start"),
        ({"steering": (Sample(oversample=2),)}, "Select"),
        ({"ipc": 0}, "ipc"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_written_down(change, says):
    with pytest.raises(UserError, match=says):
        replace(PLAIN, **change)


def test_too_few_real_pictures_are_named(tmp_path):
    recipe = Recipe(real=ToyData(per_class=2), prior=Pixels(), steering=(Start(RealPictures()),), ipc=3)
    with pytest.raises(UserError, match="class 0 has 2"):
        distill(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_absent_disk_is_noticed_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match="make room"):
        distill(PLAIN, tmp_path / "out")


def test_two_optimisations_of_one_stage_keep_their_states_apart(tmp_path, monkeypatch):
    steps = (Start(Modes()), Optimize((ModePull(),), steps=3, lr=0.1), Optimize((ModePull(),), steps=5, lr=0.01))
    recipe = replace(PLAIN, steering=steps)
    calm = distill(recipe, tmp_path / "calm")
    monkeypatch.setattr(optimize, "SAVE_EVERY_S", -1.0)
    assert torch.equal(stored(calm), stored(distill(recipe, tmp_path / "saving at every step")))


def test_two_samplings_draw_different_noise(tmp_path):
    seen = []

    class Watched(Sample):
        """A sampling that tells the first numbers of its random streams."""

        def __call__(self, draft, context):
            seen.append(
                float(torch.rand(1, generator=seeds.streams(draft.ids, context.seed, "sample", context.place)[0]))
            )
            return super().__call__(draft, context)

    distill(replace(PLAIN, steering=(Watched(steps=2), Watched(steps=2, strength=0.5))), tmp_path / "out")
    assert seen[0] != seen[1]


def test_noise_is_no_picture(tmp_path):
    with pytest.raises(UserError, match="Sample"):
        distill(replace(PLAIN, steering=(Start(),)), tmp_path / "out")


def test_a_teacher_that_guesses_is_refused_before_a_picture_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run_stage", lambda *given: pytest.fail("pictures were made"))
    idle = replace(TEACHER, training=replace(TEACHER.training, lr=1e-9))
    pair = (TEACHER, idle)
    for change in (
        {"labeler": Relabel(pair, average="logits")},
        {"steering": (Sample(steps=5, guides=(Guide(CrossEntropy(pair)),)),)},
        {"steering": (Sample(steps=5, oversample=2), SelectConfident(pair))},
    ):
        with pytest.raises(UserError, match="knows too little to be asked"):
            distill(replace(PLAIN, **change), tmp_path / "out")


def test_who_is_not_asked_for_answers_may_know_no_class(tmp_path):
    """Features of an untrained network, running statistics, and a network that nobody asks."""
    idle = replace(TEACHER, training=replace(TEACHER.training, lr=1e-9))
    normed = replace(idle, net=ConvNet(depth=2, width=8, norm="batch"))
    for objective in (MeanFeatures(Fixed((idle,))), BatchNorm((normed,)), PicturePull(Fixed((idle,)), features=0.0)):
        check_teachers((Sample(guides=(Guide(objective),)),), open_real(ToyData(), torch.device("cpu")))
    for objective in (Learnability(reference=idle), Margin((idle,))):
        with pytest.raises(UserError, match="knows too little"):
            check_teachers((Sample(guides=(Guide(objective),)),), open_real(ToyData(), torch.device("cpu")))


def test_networks_that_pictures_cannot_pass_are_refused_before_the_prior_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "load", lambda *given: pytest.fail("the prior was opened"))
    deep = Fresh(ConvNet(depth=5))
    for steering in ((Optimize((MeanFeatures(deep),)),), (Sample(steps=5, guides=(Guide(MeanFeatures(deep)),)),)):
        with pytest.raises(UserError, match="ConvNet-5 halves pictures 5 times; 8 px are too few"):
            distill(replace(PLAIN, steering=(*PLAIN.steering, *steering)), tmp_path / "out")


def test_steps_that_do_not_fit_each_other_are_refused_before_the_first_works(tmp_path, monkeypatch):
    monkeypatch.setattr(Inverted, "_measure", lambda *given: pytest.fail("a class was inverted"))
    steering = (Start(Inverted(steps=8, to=0.62)), Sample(scheduler="DDIM", steps=5))
    with pytest.raises(UserError, match=r"the draft is at time 0\.625, and 5 steps of DDIM pass 0\.600"):
        distill(replace(PLAIN, steering=steering), tmp_path / "out")


def test_real_pictures_of_one_value_are_pictures_and_steered_ones_are_not(tmp_path):
    class Blank(ToyData):
        """One picture of every class is white."""

        def open(self):
            data = super().open()
            pictures = data.train.stored(range(len(data.train)))
            pictures[data.train.where(0)[0]] = 255
            return replace(data, train=StoredImages(data.classes, data.train.labels, pictures))

    chosen = Recipe(real=Blank(), prior=Pixels(), steering=(Start(RealPictures()),), ipc=12)
    assert (stored(distill(chosen, tmp_path / "chosen")).flatten(1).amin(1) == 255).sum() == 1
    moved = replace(chosen, steering=(*chosen.steering, Optimize((ModePull(),), steps=1, lr=1e-6)))
    with pytest.raises(Diverged, match="1 of 10 pictures of class class 0 are of one value"):
        distill(moved, tmp_path / "moved")


def test_online_teachers_that_guess_are_refused_when_they_are_asked(tmp_path):
    idle = replace(TEACHER, training=replace(TEACHER.training, lr=1e-9))
    made = distill(replace(ONLINE, labeler=Online((idle,), "logits")), tmp_path / "out")
    with pytest.raises(UserError, match="knows too little to be asked"):
        made.soft.at(torch.arange(2))


@pytest.mark.parametrize("labeler", [Relabel((TEACHER,), "logits"), RelabelViews((TEACHER,), "logits", count=2)])
def test_labels_or_pictures_of_another_set_of_this_size_are_refused(labeler, tmp_path):
    for seed in (0, 1):
        distill(replace(PLAIN, seed=seed, labeler=labeler), tmp_path / f"{seed}")
    one, other = (sorted((tmp_path / f"{seed}").rglob("*.safetensors")) for seed in (0, 1))
    for wanted, said in (
        ("labels", "labels in .* are of another set"),
        ("pictures", "are not those its labels were made for"),
    ):
        for mine, theirs in zip(one, other, strict=True):
            if wanted in str(mine.relative_to(tmp_path)):
                kept = mine.read_bytes()
                mine.write_bytes(theirs.read_bytes())
                with pytest.raises(UserError, match=said):
                    load(tmp_path / "0")
                mine.write_bytes(kept)
    assert load(tmp_path / "0").soft.kind != "hard"


def test_given_teachers_are_told_apart_by_their_weights(tmp_path):
    context = open_real(ToyData(), torch.device("cpu"))
    nets = [replace(TEACHER, seed=seed).load(context).requires_grad_() for seed in (0, 1)]
    one, other = (replace(PLAIN, labeler=Relabel((net,), average="logits")) for net in nets)
    assert one != other and repr(one) != repr(other)
    made = distill(one, tmp_path / "out")
    assert made.origin["teachers"][0]["name"].startswith("Loaded(<Classifier")
    assert "not known" in made.origin["leakage"]
    assert all(parameter.requires_grad for parameter in nets[0].parameters()), "the user's network was changed"
    with pytest.raises(UserError, match="another recipe"):
        distill(other, tmp_path / "out")
