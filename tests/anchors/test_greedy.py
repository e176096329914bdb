"""Points picked one by one in feature space."""

from __future__ import annotations

import pytest
import torch

from gendistill.anchors.greedy import herding, k_centre
from gendistill.anchors.herding import Herding
from gendistill.anchors.k_centre import KCentre
from gendistill.anchors.patches import Patches
from gendistill.nets import ensemble
from gendistill.nets.trained import Trained
from gendistill.toys import toy_context
from tests.parts_under_test import TEACHER


def test_herding_keeps_the_mean_of_the_picked_nearest_to_the_mean():
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    picked = herding(points, points, 4).tolist()
    for number in range(4):
        before, free = picked[:number], [i for i in range(9) if i not in picked[:number]]
        away = {i: float((points.mean(0) - points[[*before, i]].mean(0)).norm()) for i in free}
        assert picked[number] == min(free, key=lambda i: away[i])


def test_k_centre_picks_the_real_point_farthest_from_those_picked():
    points = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])  # mean 3.2
    assert k_centre(points, points, 4).tolist() == [3, 4, 0, 1]


def test_k_centre_takes_the_candidate_nearest_to_what_is_not_covered():
    real = torch.tensor([[0.0], [4.0], [11.0]])
    assert k_centre(torch.tensor([[5.0], [9.0], [-3.0]]), real, 3).tolist() == [0, 1, 2]


def test_every_row_is_picked_once():
    same = torch.ones(4, 2)
    assert (
        herding(same, same, 4).sort().values.tolist() == k_centre(same, same, 4).sort().values.tolist() == [0, 1, 2, 3]
    )


def test_anchors_are_the_real_pictures_picked_in_teacher_features(tmp_path):
    context = toy_context(tmp_path, ipc=3)
    stored = context.stored(1)
    features = ensemble.look(stored, ensemble.load([TEACHER], context)[0].features, context)
    unit = features / features.norm(dim=1, keepdim=True)
    for anchors, pick, seen in ((Herding((TEACHER,)), herding, unit), (KCentre((TEACHER,)), k_centre, features)):
        expected = context.encode(stored[pick(seen, seen, 3)])
        torch.testing.assert_close(anchors.find(context, 1, torch.arange(3)), expected)


def test_more_pictures_begin_with_the_same_ones(tmp_path):
    two, five = (Herding((TEACHER,)).find(toy_context(tmp_path, ipc=n), 0, torch.arange(2)) for n in (2, 5))
    assert torch.equal(two, five)


def test_a_module_without_features_shows_its_logits(tmp_path):
    context = toy_context(tmp_path)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    pixels = torch.rand(2, 1, 8, 8)
    found = ensemble.features([net, ensemble.load([TEACHER], context)[0]], pixels)
    torch.testing.assert_close(found[:, :3], net(pixels))
    assert found.shape[1] > 6


@pytest.mark.parametrize(
    ("anchors", "kind"), [(Herding((TEACHER,)), "picked"), (Patches((TEACHER,), crops=1), "patches")]
)
def test_other_weights_of_a_teacher_choose_anew(anchors, kind, tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    for weights, choices in (("one", 1), ("one", 1), ("other", 2)):
        monkeypatch.setattr(Trained, "identity", lambda *given, weights=weights: weights)
        anchors.find(context, 0, torch.arange(2))
        assert len(list(context.store.root.glob(f"{kind}/*.safetensors"))) == choices
