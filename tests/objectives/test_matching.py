"""What all objectives that match features of a class keep, on the simplest of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh
from gendistill.nets.trained import Trained
from gendistill.objectives import matching
from gendistill.objectives.matching import squared_distances
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

NET = ConvNet(depth=2, width=8)
OBJECTIVE = MeanFeatures(Fresh(NET), batch=8)


def look(draft, step=3):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=step)


def test_a_class_does_not_see_which_classes_are_beside_it(tmp_path):
    context = toy_context(tmp_path, classes=(0, 1, 2))
    together = OBJECTIVE.bind(context)(look(toy_draft(context)))
    for index in context.classes:
        alone = context.of((index,))
        draft = toy_draft(context)[toy_draft(context).labels == index]
        assert torch.equal(OBJECTIVE.bind(alone)(look(draft)), together[index : index + 1])


def test_a_class_without_pictures_costs_nothing(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    found = OBJECTIVE.bind(context)(look(draft[draft.labels == 1]))
    assert found[0] == 0 and torch.equal(found[1], OBJECTIVE.bind(context)(look(draft))[1])


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_blocks_of_real_pictures_change_nothing(norm, tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    objective = MeanFeatures(Fresh(replace(NET, norm=norm)), batch=12)
    whole = objective.bind(context)(look(toy_draft(context)))
    monkeypatch.setattr(matching, "CACHED_PIXELS", 3 * 64)
    assert torch.equal(objective.bind(context)(look(toy_draft(context))), whole)


def test_real_pictures_pass_in_blocks_where_they_can(tmp_path, monkeypatch):
    context, sizes = toy_context(tmp_path, classes=(0,)), []
    monkeypatch.setattr(matching, "CACHED_PIXELS", 3 * 64)
    seen = MeanFeatures.look
    monkeypatch.setattr(MeanFeatures, "look", lambda *given: (sizes.append(len(given[2])), seen(*given))[1])
    for norm in ("instance", "batch"):
        MeanFeatures(Fresh(replace(NET, norm=norm)), batch=8).bind(context)(look(toy_draft(context)))
    assert sizes == [2, 3, 3, 2, 2, 8], "the first of each are the synthetic ones; batch statistics need all at once"


def test_losses_of_several_networks_are_averaged(tmp_path):
    context, other = toy_context(tmp_path), Trained(TEACHER.net, TEACHER.training, seed=1)
    synthetic = look(toy_draft(context))
    each = [MeanFeatures(Fixed((one,))).bind(context)(synthetic) for one in (TEACHER, other)]
    both = MeanFeatures(Fixed((TEACHER, other), all=True)).bind(context)(synthetic)
    torch.testing.assert_close(both, sum(each) / 2)


def test_an_empty_batch_is_refused():
    with pytest.raises(UserError, match="batch >= 1"):
        MeanFeatures(batch=0)


def test_squared_distances_are_what_they_are_and_have_a_gradient_at_zero():
    points = torch.tensor([[100.0, 0.0], [103.0, 4.0]], requires_grad=True)
    found = squared_distances(points, points)
    assert found.tolist() == [[0.0, 25.0], [25.0, 0.0]]
    found.sum().backward()
    assert points.grad is not None and bool(torch.isfinite(points.grad).all())
