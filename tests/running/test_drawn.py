"""A generator as what is distilled: students see other pictures every epoch, its bytes are what counts, and load gives it back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.protocols import Protocol
from gendistill.exporting.export import export
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training, train
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained, shape_of
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.priors.base import Prior
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.running.drawn import OneDraw
from gendistill.running.execute import drawn
from gendistill.running.load import load
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, ToyPrior
from gendistill.types import Class, UserError

SIZE = 123
TEACHER = Trained(net=ConvNet(depth=1, width=4))


class SavedToyPrior(ToyPrior):
    """The toy prior, with something to store."""

    def save(self, folder):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(bytes(SIZE))


@dataclass(frozen=True)
class SavedToy(Prior):
    """Its settings."""

    loads = SavedToyPrior

    def load(self, data, device, dtype):
        return SavedToyPrior(len(data.classes), data.train.shape[-1], data.train.shape[0])


RECIPE = Recipe(real=ToyData(), prior=SavedToy(), steering=(Sample(steps=4),), ipc=3, block=2, draws=3)
PROTOCOL = Protocol(name="tiny", student=ConvNet(depth=1, width=4), students=2, training=Training(epochs=5, batch=4))


def stored(images):
    return images.stored(range(len(images)))


def test_every_epoch_has_its_own_pictures_and_the_first_are_those_in_the_shards(tmp_path):
    made = distill(RECIPE, tmp_path / "run")
    sets = [stored(made.images.at_epoch(number)) for number in range(4)]
    assert torch.equal(sets[0], stored(made.images)) and torch.equal(sets[0], sets[3])
    assert not torch.equal(sets[0], sets[1]) and not torch.equal(sets[1], sets[2])
    assert torch.equal(sets[0], stored(distill(replace(RECIPE, draws=1), tmp_path / "plain").images))


def test_the_shards_are_what_draw_zero_would_make(tmp_path):
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    made = distill(RECIPE, tmp_path / "run", context=context)
    assert torch.equal(stored(drawn(RECIPE, context, 0)), stored(made.images))


def test_only_classes_that_are_asked_for_are_drawn_and_once(monkeypatch):
    context, drafts = open_context(RECIPE, torch.device("cpu"), torch.float32), []
    sample = Sample.__call__
    monkeypatch.setattr(
        Sample, "__call__", lambda self, draft, inner: drafts.append(draft) or sample(self, draft, inner)
    )
    images = drawn(RECIPE, context, 1)
    assert len(images) == 9 and images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and not drafts
    some = images.stored([8, 6, 1])
    assert [draft.labels.unique().tolist() for draft in drafts] == [[0], [0], [2], [2]], "two blocks of two classes"
    assert torch.equal(stored(drawn(RECIPE, context, 1))[[8, 6, 1]], some)
    drafts.clear()
    assert torch.equal(stored(images)[[8, 6, 1]], some)
    assert [draft.labels.unique().tolist() for draft in drafts] == [[1], [1]]


def test_pictures_that_wait_leave_nothing_behind(tmp_path):
    made = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    images = OneDraw(
        (Class("a"), Class("b")), torch.tensor([0, 1, 0, 1]), (3, 4, 4), "", lambda k: made + k, tmp_path / "x"
    )
    assert torch.equal(stored(images), torch.stack([made[0], made[0] + 1, made[1], made[1] + 1]))
    assert not list((tmp_path / "x").iterdir())
    images.labels = torch.tensor([0, 1, 1, 1])
    images._made.clear()
    with pytest.raises(UserError, match=r"b was drawn as \(2, 3, 4, 4\), not \(3, "):
        images.stored([1])


def test_a_student_sees_a_new_set_each_epoch(tmp_path, monkeypatch):
    made = distill(RECIPE, tmp_path / "run")
    asked = []
    monkeypatch.setattr(type(made.images), "at_epoch", lambda self, number: asked.append(number) or self)
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    net = build(PROTOCOL.student, shape_of(context), 0, torch.device("cpu"))
    train(net, made.images, PROTOCOL.training, 0, torch.device("cpu"))
    assert asked == list(range(5))


def test_it_is_compared_with_real_pictures_that_are_kept_and_with_the_prior_drawn_anew():
    guided = replace(RECIPE, steering=(Sample(steps=4, cfg=2.0, guides=(Guide(CrossEntropy((TEACHER,))),)),))
    found = baselines(guided)
    assert found["random_real"].draws == 1 and found["unsteered"].draws == RECIPE.draws


def test_bytes_are_the_generators_and_distinct_pictures_are_counted(tmp_path):
    context = open_context(RECIPE, torch.device("cpu"), torch.float32)
    made = distill(RECIPE, tmp_path / "run", context=context)
    plain = distill(replace(RECIPE, draws=1), tmp_path / "plain", context=context)
    report = measure({"distilled": [made], "plain": [plain]}, PROTOCOL, context)
    generator, pictures = report.rows
    assert generator.bytes == SIZE and pictures.bytes > SIZE
    assert generator.distinct == 3 * 9 and pictures.distinct is None
    assert "distilled is a generator" in str(report) and "27 different" in report.markdown()
    assert "plain is a generator" not in str(report)


def test_loading_gives_the_same_draws(tmp_path, monkeypatch):
    made = distill(RECIPE, tmp_path / "run")
    monkeypatch.setattr(
        "gendistill.config.overrides.read_value", lambda text: RECIPE
    )  # the toy's name is unknown to it
    again = load(tmp_path / "run")
    assert torch.equal(stored(again.images.at_epoch(2)), stored(made.images.at_epoch(2)))
    assert again.sizes["generator"] == SIZE


def test_other_real_pictures_are_refused_before_a_prior_is_made_of_them(tmp_path, monkeypatch):
    distill(RECIPE, tmp_path / "run")
    monkeypatch.setattr(
        "gendistill.config.overrides.read_value", lambda text: replace(RECIPE, real=ToyData(per_class=11))
    )
    monkeypatch.setattr("gendistill.running.distill.open_context", lambda *given: pytest.fail("a prior was made"))
    images = load(tmp_path / "run").images
    assert len(stored(images)) == 9
    with pytest.raises(UserError, match="not those this set was made of"):
        images.at_epoch(1)


def test_a_generator_draws_in_the_arithmetic_of_its_run(tmp_path, monkeypatch):
    asked, opened = [], open_context
    distill(RECIPE, tmp_path / "run")
    about = json.loads((tmp_path / "run" / "set.json").read_text())
    (tmp_path / "run" / "set.json").write_text(json.dumps({**about, "dtype": "bfloat16"}))
    monkeypatch.setattr("gendistill.config.overrides.read_value", lambda text: RECIPE)
    monkeypatch.setattr(
        "gendistill.running.distill.open_context", lambda *given: asked.append(given[2]) or opened(*given)
    )
    load(tmp_path / "run").images.at_epoch(1)
    assert asked == [torch.bfloat16]


def test_the_exported_folder_holds_the_generator(tmp_path):
    folder = export(distill(RECIPE, tmp_path / "run"), tmp_path / "dataset")
    assert (folder / "generator" / "weights").stat().st_size == SIZE
    assert "first of the\n3 sets it draws" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"draws": 0},
        {"rounds": 2},
        {"labeler": Relabel((TEACHER,), average="logits")},
        {"steering": (Sample(steps=4, at_once=1),)},
        {"prior": Toy()},
    ],
)
def test_what_cannot_be_drawn_anew_is_refused(change):
    with pytest.raises(UserError, match="draws="):
        replace(RECIPE, **change)


def test_optimised_pictures_may_be_drawn_where_each_is_alone():
    step = Optimize((CrossEntropy((TEACHER,)),), steps=1)
    assert replace(RECIPE, steering=(*RECIPE.steering, step)).draws == 3
