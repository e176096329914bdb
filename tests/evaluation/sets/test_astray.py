"""Labels that are of other pictures are found out, and those of poor pictures are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.distilled import Distilled
from gendistill.evaluation.sets.astray import check_soft, doubts, hits
from gendistill.images import StoredImages
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.relabel import StaticLabels
from gendistill.labelers.relabel_views import ViewLabels, stacked
from gendistill.system.store import write_tensors
from gendistill.types import Class, UserError
from gendistill.views.numbered import Views

RANDOM = torch.Generator().manual_seed(0)


def labelled(labels, likeliest, classes=10, views=None):
    """Black pictures of these classes, with soft labels that have these as the likeliest; of two views, in this file, if any."""
    images = StoredImages([Class(str(i)) for i in range(classes)], labels, torch.zeros(len(labels), 1, 2, 2).byte())
    soft = torch.full((len(labels), classes), 0.3 / (classes - 1))
    soft = soft.scatter(1, likeliest[:, None], 0.7).log()
    if views is None:
        return replace(Distilled.of(images), soft=StaticLabels.of(soft, 1.0))
    write_tensors(views, stacked([Half().encode(one) for one in (soft, soft)]))
    return replace(Distilled.of(images), soft=ViewLabels([views], Views(), classes, 1.0, Half()))


@pytest.mark.parametrize(("classes", "ipc"), [(10, 1), (10, 3), (3, 20), (100, 1)])
def test_labels_in_another_order_are_refused(classes, ipc):
    labels = torch.arange(classes).repeat_interleave(ipc)
    check_soft([labelled(labels, labels, classes)])
    with pytest.raises(UserError, match=rf"in another order .* {classes * ipc} would be.*labelers=\(Hard"):
        check_soft([labelled(labels, labels.roll(ipc), classes)])
    if ipc > 1:
        assert hits(labels[torch.randperm(len(labels), generator=RANDOM)], labels, classes).doubtful


@pytest.mark.parametrize(("classes", "ipc", "right"), [(2, 10, 0.6), (10, 10, 0.2)])
def test_a_weak_teacher_is_hardly_ever_taken_for_one_in_another_order(classes, ipc, right):
    labels, refused = torch.arange(classes).repeat_interleave(ipc), 0
    for _ in range(200):
        said = torch.randint(classes, labels.shape, generator=RANDOM)
        knows = torch.rand(len(labels), generator=RANDOM) < (right - 1 / classes) / (1 - 1 / classes)
        refused += hits(torch.where(knows, labels, said), labels, classes).astray
    assert refused <= 4


def test_labels_of_views_are_known_by_the_first(tmp_path):
    labels = torch.arange(10).repeat_interleave(3)
    check_soft([labelled(labels, labels, views=tmp_path / "right")])
    with pytest.raises(UserError, match="in another order"):
        check_soft([labelled(labels, labels.roll(3), views=tmp_path / "astray")])
    longer, few = ViewLabels([tmp_path / "right"], Views(), 10, 1.0, Half()), labels[:15]
    with pytest.raises(UserError, match="after its 15 pictures"):
        check_soft([replace(labelled(few, few), soft=longer)])


def test_labels_of_a_teacher_that_sees_no_class_are_told_and_not_refused():
    labels = torch.arange(10).repeat_interleave(5)
    made = [labelled(labels, torch.full_like(labels, 3))] * 2
    check_soft(made)
    (note,) = doubts({"noise": made})
    assert "'noise' agree with the classes of its pictures no better than guesses: 5 of the 50" in note


def test_a_poor_teacher_and_few_pictures_pass_in_silence():
    labels = torch.arange(10).repeat_interleave(10)
    poor = labelled(labels, torch.where(torch.arange(100) % 3 == 0, labels, labels.roll(10)))  # right on a third
    made = [poor, labelled(torch.arange(3), torch.tensor([1, 2, 0]), 3), labelled(labels, labels).hard()]
    check_soft(made)
    assert not [*doubts({"poor": made})]


def test_chance_is_that_of_a_random_order():
    found = hits(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), 2)
    assert (found.right, found.count, found.chance, found.at_best) == (3, 4, 0.5, 3)
