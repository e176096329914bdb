"""A finished set as torch takes it: pixels and what is known of them, as they are or in one of their views."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch.utils.data import DataLoader

from gendistill.anchors.real_pictures import RealPictures
from gendistill.distilled import Distilled
from gendistill.evaluation.sets.opened import open_sets
from gendistill.labelers.alternate import AlternatingLabels, Phases
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.online import Online, OnlineLabels
from gendistill.labelers.relabel import StaticLabels
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.running.load import read_set
from gendistill.steering.start import Start
from gendistill.toys import ToyData, toy_context
from gendistill.types import UserError
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER


@pytest.fixture
def of_views(tmp_path):
    context = toy_context(tmp_path)
    images = context.real.train
    soft = RelabelViews((TEACHER,), "logits", count=3, codec=Single())(images, context)
    return Distilled.of(images, soft)


def test_a_view_comes_with_its_labels(of_views):
    images, soft = of_views.images, of_views.soft
    seen = of_views.torch(view=2)
    everything = torch.arange(len(images))
    wanted = soft.views.look(images.pixels, everything, 2, len(images)).pixels
    pixels, log_probs = next(iter(DataLoader(seen, batch_size=36)))
    assert torch.equal(pixels, wanted) and torch.equal(log_probs, soft.at(everything, 2))
    torch.testing.assert_close(seen[17], (wanted[17], soft.at(torch.tensor([17]), 2)[0]))


def test_a_set_is_as_long_as_its_pictures_and_prints_in_one_line(of_views):
    assert len(of_views) == 36
    assert repr(of_views) == "Distilled(36 pictures, 3 classes, 8 × 8 grey, labels of views of 1.3 kB)"
    static = replace(of_views, soft=StaticLabels.of(of_views.soft.at(torch.arange(36), 1), 1.0))
    assert str(static) == "Distilled(36 pictures, 3 classes, 8 × 8 grey, soft labels of 432 B)"
    assert str(of_views.hard()) == "Distilled(36 pictures, 3 classes, 8 × 8 grey, hard labels)"
    online = replace(
        of_views, soft=OnlineLabels(of_views.images, Views(), 1.0, lambda: pytest.fail("teachers were loaded"))
    )
    assert repr(online).endswith("online labels)")


def test_pictures_and_views_are_not_mistaken_for_each_other(of_views):
    with pytest.raises(UserError, match="view=distilled.soft.view"):
        of_views.torch()
    static = Distilled.of(of_views.images, StaticLabels.of(of_views.soft.at(torch.arange(36), 1), 1.0))
    with pytest.raises(UserError, match="name a view"):
        replace(static, soft=AlternatingLabels(static.soft, static.images, Phases())).torch()
    assert torch.equal(static.torch()[3][1], static.torch(view=7)[3][1]), (
        "labels of pictures are the same in every view"
    )
    with pytest.raises(UserError, match="leave view out"):
        of_views.hard().torch(view=0)


def test_hard_epochs_of_labels_that_take_turns_are_seen(of_views):
    soft = StaticLabels.of(of_views.soft.at(torch.arange(36), 1), 1.0)
    made = replace(of_views, soft=AlternatingLabels(soft, of_views.images, Phases(smoothing=0.3)))
    pixels, log_probs = made.torch(view=-1)[13]
    assert torch.equal(pixels, made.images.pixels([13])[0])
    torch.testing.assert_close(log_probs.exp(), torch.tensor([0.1, 0.8, 0.1]))
    assert torch.equal(made.torch(view=4)[13][1], soft.log_probs[13])


def test_views_without_labels_are_refused(of_views):
    count, soft = of_views.soft.count, of_views.soft
    for view in (-1, count, 10**6):
        with pytest.raises(UserError, match=rf"view={view}, those from 0 to {count - 1} are stored.*soft.view\(epoch"):
            of_views.torch(view=view)
    turns = replace(of_views, soft=AlternatingLabels(soft, of_views.images, Phases()))
    assert turns.torch(view=-7)[0]
    with pytest.raises(UserError, match="are stored"):
        turns.torch(view=count)


def test_hard_labels_are_class_numbers(of_views):
    seen = of_views.hard().torch()
    pixels, label = seen[30]
    assert torch.equal(pixels, of_views.images.pixels([30])[0]) and int(label) == 2 and len(seen) == 36


@dataclass(frozen=True)
class Gone:
    """Data that cannot be opened any more."""

    def open(self):
        raise UserError("it is gone")


def test_other_teachers_and_those_of_other_pictures_do_not_label_online(tmp_path):
    recipe = Recipe(
        real=ToyData(),
        prior=Pixels(),
        steering=(Start(RealPictures()),),
        ipc=2,
        labeler=Online((TEACHER,), "logits"),
    )
    labels = distill(recipe, tmp_path).soft.at(torch.arange(6), 1)
    assert torch.equal(read_set(tmp_path, recipe=recipe).soft.at(torch.arange(6), 1), labels)
    other = read_set(tmp_path, recipe=replace(recipe, real=ToyData(per_class=11)))
    assert len(other.hard().torch()) == 6, "the pictures are there"
    with pytest.raises(UserError, match="not those this set was made of"):
        other.soft.at(torch.arange(6), 1)
    strangers = replace(recipe, labeler=Online((replace(TEACHER, seed=1),), "logits"))
    with pytest.raises(UserError, match="teachers of this set are others now"):
        read_set(tmp_path, recipe=strangers).soft.at(torch.arange(6), 1)
    gone = read_set(tmp_path, recipe=replace(recipe, real=Gone()))
    with pytest.raises(UserError, match="it is gone"):
        gone.soft.at(torch.arange(6), 1)
    (found,) = open_sets(gone, real=ToyData()).sets
    assert torch.equal(found.soft.at(torch.arange(6), 1), labels), "the pictures are elsewhere now"
    about = json.loads((tmp_path / "set.json").read_text())
    del about["origin"]["real"]["fingerprint"]
    (tmp_path / "set.json").write_text(json.dumps(about))
    del about["soft"]["teachers"]
    (tmp_path / "set.json").write_text(json.dumps(about))
    assert len(read_set(tmp_path, recipe=other.recipe).soft.at(torch.arange(6), 1)) == 6, "nothing is known of them"
