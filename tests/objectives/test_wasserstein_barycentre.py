"""Transport and barycentres by hand, and which atom pulls which picture."""

from __future__ import annotations

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets import trained
from gendistill.nets.trained import Trained, load
from gendistill.objectives.wasserstein_barycentre import WassersteinBarycentre, barycentre, on_simplex, transport
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

OBJECTIVE = WassersteinBarycentre(TEACHER, pictures=8)
EVEN = torch.tensor([0.5, 0.5]).double()


def line(*places):
    return torch.tensor(places).float().view(-1, 1)


def test_transport_is_the_cheapest_and_prices_say_what_more_would_cost():
    costs = torch.tensor([[1.0, 4.0], [5.0, 0.0]]).double()
    plan, prices = transport(costs, EVEN)
    assert plan.tolist() == [[0.5, 0.0], [0.0, 0.5]]
    # A little more of the first atom goes to the second point, which costs 4 in place of 0.
    assert float(prices[0] - prices[1]) >= 0
    moved, _ = transport(costs, EVEN + torch.tensor([0.1, -0.1]).double())
    change = float((moved * costs).sum() - (plan * costs).sum())
    assert change == pytest.approx(0.1 * (4.0 - 0.0))


def test_a_round_moves_atoms_to_the_mean_of_what_they_are_sent_to():
    atoms, weights = barycentre(line(0, 10, 1, 11), 2, rounds=1, share=1.0)
    assert atoms.flatten().tolist() == pytest.approx([0.5, 10.5]) and weights.tolist() == pytest.approx([0.5, 0.5])
    atoms, _ = barycentre(line(0, 10, 1, 11), 2, rounds=1, share=0.2)
    assert atoms.flatten().tolist() == pytest.approx([0.1, 10.1])


def test_as_many_atoms_as_points_are_the_points():
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    atoms, weights = barycentre(points, 5, rounds=10, share=0.2)
    torch.testing.assert_close(atoms.float(), points)
    torch.testing.assert_close(weights.float(), torch.full((5,), 0.2))


def test_weights_follow_how_many_points_are_near():
    points = line(0, 10, 0.1, 0.2, 9.9, 0.3, 0.1, 0.2)
    atoms, weights = barycentre(points, 2, rounds=60, share=0.5)
    assert weights.tolist() == pytest.approx([0.75, 0.25], abs=0.05)
    assert atoms.flatten().tolist() == pytest.approx([0.15, 9.95], abs=0.7)


def test_more_atoms_than_points_are_the_points_again():
    atoms, weights = barycentre(line(1, 2), 4, rounds=3, share=0.5)
    assert bool(torch.isfinite(atoms).all()) and float(weights.sum()) == pytest.approx(1)


def test_the_simplex_is_reached_by_the_shortest_way():
    inside = torch.tensor([0.2, 0.3, 0.5]).double()
    torch.testing.assert_close(on_simplex(inside), inside)
    torch.testing.assert_close(on_simplex(inside + 7), inside)
    assert on_simplex(torch.tensor([2.0, 0.0]).double()).tolist() == [1.0, 0.0]


def test_each_picture_is_pulled_to_the_atom_of_its_slot(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    net, found = load(TEACHER, context), [OBJECTIVE.atoms(context, index) for index in context.classes]
    wanted = torch.cat([one["atoms"] for one in found])
    assert all(one["weights"][0] >= one["weights"][1] for one in found), "the heaviest first"
    expected = (net.features(draft.prior.decode(draft.latents)) - wanted).pow(2).sum(1)
    for order in ([0, 1, 2, 3], [3, 0, 1, 2]):
        part = draft[torch.tensor(order)]
        synthetic = Synthetic(part.prior, part.latents, part.ids, part.labels)
        torch.testing.assert_close(OBJECTIVE.bind(context)(synthetic), expected[order])


def test_barycentres_are_found_once(tmp_path, monkeypatch):
    OBJECTIVE.bind(toy_context(tmp_path))
    monkeypatch.setattr(trained, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    monkeypatch.setattr(
        "gendistill.objectives.wasserstein_barycentre.barycentre", lambda *args: pytest.fail("found again")
    )
    OBJECTIVE.bind(toy_context(tmp_path))


def test_other_weights_of_the_teacher_have_barycentres_of_their_own(tmp_path, monkeypatch):
    context = toy_context(tmp_path, classes=(0,))
    for weights, found in (("one", 1), ("one", 1), ("other", 2)):
        monkeypatch.setattr(Trained, "identity", lambda *given, weights=weights: weights)
        OBJECTIVE.bind(context)
        assert len(list(context.store.root.glob("barycentres/*.safetensors"))) == found


def test_shares_beyond_the_whole_way_are_refused():
    with pytest.raises(UserError, match="share"):
        WassersteinBarycentre(share=1.5)
