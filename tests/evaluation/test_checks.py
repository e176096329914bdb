"""Nothing is judged by pictures it learned from, and no student learns from what cannot be labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_apart, check_labels
from gendistill.evaluation.sets.prints import known_as, prints
from gendistill.images import StoredImages, Subset
from gendistill.labelers.alternate import Alternate
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import Relabel, StaticLabels
from gendistill.labelers.relabel_views import RelabelViews, ViewLabels, stacked
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.guessing import check_teachers
from gendistill.nets.trained import Trained
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.system.store import write_tensors
from gendistill.toys import Toy, ToyData, toy_context
from gendistill.types import RealData, SoftLabels, UserError
from gendistill.views.numbered import Views

DATA = ToyData(per_class=100).open()
TRAIN, TEST = DATA.train, DATA.test()
GOOD = Trained(ConvNet(depth=2, width=8), Training(epochs=40, batch=8, lr=0.05, augment=None))


def joined(first, second):
    """The pictures of both."""
    stored = torch.cat([one.stored(range(len(one))) for one in (first, second)])
    return StoredImages(first.classes, torch.cat([first.labels, second.labels]), stored)


def context_of(tmp_path, train=TRAIN, test=TEST):
    return replace(toy_context(tmp_path), real=RealData("toy", train, lambda: test))


def some(images, *positions):
    return Subset(images, torch.tensor(positions))


def test_equal_pictures_have_equal_prints_wherever_they_are():
    shuffled = torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(0))
    assert torch.equal(prints(Subset(TRAIN, shuffled)), prints(TRAIN)[shuffled])
    changed = TRAIN.stored(range(2))
    changed[1, 0, 7, 7] ^= 1
    found = prints(StoredImages(TRAIN.classes, TRAIN.labels[:2], changed))
    assert (found == prints(TRAIN)[:2]).tolist() == [True, False]


def test_splits_that_share_nothing_pass(tmp_path):
    sets = {"random_real": [Distilled.of(some(TRAIN, 0, 150, 299))], "full_real": [Distilled.of(TRAIN)]}
    assert check_apart(TEST, sets, context_of(tmp_path)) == []


def test_a_test_split_that_overlaps_the_training_pictures_is_refused(tmp_path):
    leaked = joined(TRAIN, some(TEST, 0, 1, 2, 3))
    with pytest.raises(UserError, match=r"4 of the 300 test pictures of toy .*Validation"):
        check_apart(TEST, {}, context_of(tmp_path, leaked))


def test_a_few_twins_of_a_published_split_are_told(tmp_path):
    notes = check_apart(TEST, {}, context_of(tmp_path, joined(TRAIN, some(TEST, 5, 6, 7))))
    assert notes == ["3 of the 300 test pictures are also training pictures, pixel for pixel."]


def test_a_set_that_holds_a_test_picture_is_refused_and_one_that_holds_a_twin_is_not(tmp_path):
    context = context_of(tmp_path, joined(TRAIN, some(TEST, 5)))
    assert check_apart(TEST, {"herding": [Distilled.of(some(TEST, 5))]}, context)
    with pytest.raises(UserError, match=r"1 of the 2 pictures of the set 'theirs' are test pictures"):
        check_apart(TEST, {"theirs": [Distilled.of(some(TEST, 5, 8))]}, context)


def set_from(source, fingerprint="another"):
    """A set whose recipe is of these data."""
    recipe = Recipe(real=source, prior=Toy(), steering=(Sample(steps=2),), ipc=1)
    return replace(Distilled.of(some(TRAIN, 0)), recipe=recipe, origin={"real": {"fingerprint": fingerprint}})


@dataclass(frozen=True)
class Opens:
    """Data that are there, or are not any more."""

    train: StoredImages | None

    def open(self):
        if self.train is None:
            raise UserError("it is gone")
        return RealData("elsewhere", self.train, None)


def test_a_set_that_was_made_from_the_test_pictures_of_other_data_is_refused(tmp_path):
    made = set_from(Opens(joined(TRAIN, some(TEST, 0, 1, 2, 3))))
    with pytest.raises(UserError, match="4 of the 300 test pictures of toy are among the training pictures of Opens"):
        check_apart(TEST, {"distilled": [made]}, context_of(tmp_path))


def test_what_a_set_was_made_from_is_looked_at_where_that_is_possible(tmp_path):
    context = context_of(tmp_path)
    assert check_apart(TEST, {"distilled": [set_from(Opens(TRAIN))]}, context) == []
    own = set_from(Opens(None), TRAIN.fingerprint)
    assert check_apart(TEST, {"distilled": [own]}, context) == []  # it is known to be the same, so nothing is opened
    (note,) = check_apart(TEST, {"distilled": [set_from(Opens(None))]}, context)
    assert "could not be looked at" in note
    (note,) = check_apart(TEST, {"theirs": [Distilled.of(some(TRAIN, 0))]}, context)
    assert "'theirs' was made from is not known" in note


def test_pictures_are_known_by_their_content_in_any_order(tmp_path):
    context, turned = context_of(tmp_path), Subset(TEST, torch.arange(len(TEST)).flip(0))
    assert known_as(TEST, context) == known_as(turned, context) != known_as(TRAIN, context)


def labelled(log_probs, count=6, **fields):
    made = Distilled.of(some(TRAIN, *range(count)))
    return replace(made, soft=StaticLabels.of(log_probs, 1.0), **fields)


def test_labels_that_are_probabilities_pass_also_with_nothing_for_some_classes():
    check_labels(labelled(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).log_softmax(1)), "ours")
    check_labels(labelled(torch.tensor([0.5, 0.5, 0.0]).log().expand(6, 3)), "ours")
    check_labels(Distilled.of(TRAIN), "hard")


class Raw(SoftLabels):
    """Whatever is given."""

    kind, temperature, bytes, fingerprint = "soft", 1.0, 0, "raw"

    def __init__(self, numbers):
        self.numbers = numbers

    def at(self, positions, view=0):
        return self.numbers[positions]

    def save(self, folder):
        return {}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            torch.zeros(6, 3),
            "6 of the 6 soft labels of the set 'ours' are no probabilities: that of picture 0 sums to 3",
        ),
        (torch.full((6, 3), math.nan), "sums to nan"),
        (torch.full((6, 4), 0.25).log(), r"over 4 classes, its pictures of 3: they are of another set"),
        (torch.full((5, 3), 1 / 3).log(), "end before its 6 pictures do"),
        (torch.full((7, 3), 1 / 3).log(), "go on after its 6 pictures"),
    ],
)
def test_labels_that_are_none_or_of_another_set_are_refused(numbers, message):
    made = replace(Distilled.of(some(TRAIN, *range(6))), soft=Raw(numbers))
    with pytest.raises(UserError, match=message):
        check_labels(made, "ours")


def test_one_bad_label_among_many_is_found():
    numbers = torch.full((6, 3), 1 / 3).log()
    numbers[4, 1] = math.nan
    with pytest.raises(UserError, match="1 of the 6 .* picture 4"):
        check_labels(replace(Distilled.of(some(TRAIN, *range(6))), soft=Raw(numbers)), "ours")


def test_a_bad_label_of_a_later_view_is_found(tmp_path):
    rows = torch.full((3, 6, 3), 1 / 3).log()
    rows[2, 4, 1] = math.nan
    write_tensors(tmp_path / "views.safetensors", stacked([Half().encode(one) for one in rows]))
    soft = ViewLabels([tmp_path / "views.safetensors"], Views(), 3, 1.0, Half())
    with pytest.raises(UserError, match="1 of the 6 soft labels of the set 'ours' in view 2 .* picture 4"):
        check_labels(replace(Distilled.of(some(TRAIN, *range(6))), soft=soft), "ours")


def test_a_teacher_that_guesses_is_refused_though_it_was_trained_here(tmp_path):
    context = context_of(tmp_path)
    check_teachers(Hard(), context)
    check_teachers(Relabel((GOOD,), "logits"), context)
    idle = replace(GOOD, training=replace(GOOD.training, epochs=1, lr=1e-9))
    with pytest.raises(
        UserError, match=r"knows too little to be asked: it is right on .* of 300 real .* a guess is on 33.3 %"
    ):
        check_teachers(Relabel((GOOD, idle), "logits"), context)
    with pytest.raises(UserError, match="knows too little"):
        check_teachers(Alternate(RelabelViews((idle,), "logits")), context)
