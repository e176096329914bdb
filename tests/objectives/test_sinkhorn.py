"""Entropic transport by hand, its limits, and the pictures that were finished before."""

from __future__ import annotations

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.sinkhorn import Sinkhorn, entropic
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError

POINTS, MODES = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
QUARTERS = torch.full((4,), 0.25)
TWO = (torch.tensor([[0.0], [10.0]]), torch.tensor([0.5, 0.5]))


def test_one_picture_is_sent_to_every_mode_by_its_share():
    point = torch.tensor([[1.0, 0.0]], requires_grad=True)
    modes, share = torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([0.25, 0.75])
    found = Sinkhorn().between(point, modes, share)
    assert found.item() == pytest.approx(0.25 * 1 + 0.75 * 4)
    found.backward()
    torch.testing.assert_close(point.grad, 2 * (point.detach() - share @ modes))


def test_the_plan_is_the_best_one():
    costs = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double().requires_grad_()
    half, epsilon = torch.tensor([0.5, 0.5]).double(), torch.tensor(0.7).double()
    found = entropic(costs, half.log(), half.log(), epsilon, 50)
    found.backward()
    # Both marginals are 1/2, so one number p on the diagonal is the whole plan: minimise 1 - 2p + epsilon KL on a grid.
    p = torch.linspace(0.001, 0.499, 5000).double()
    value = 1 - 2 * p + epsilon * (2 * p * (p / 0.25).log() + 2 * (0.5 - p) * ((0.5 - p) / 0.25).log())
    assert found.item() == pytest.approx(value.min().item(), abs=1e-6)
    assert costs.grad is not None and costs.grad[0, 0].item() == pytest.approx(p[value.argmin()].item(), abs=1e-3)


def test_little_entropy_is_an_assignment():
    shuffled = MODES[[2, 0, 3, 1]] + 0.1
    found = Sinkhorn(epsilon=1e-4, iterations=200).between(MODES, shuffled, QUARTERS)
    assert found.item() == pytest.approx(3 * 0.1**2, abs=2e-3), "each to its own, moved by 0.1 in three dimensions"


@pytest.mark.parametrize("debiased", [False, True])
def test_the_order_of_pictures_does_not_count(debiased):
    cost = Sinkhorn(debiased=debiased).between
    torch.testing.assert_close(cost(POINTS[[3, 1, 0, 2]], MODES, QUARTERS), cost(POINTS, MODES, QUARTERS))


def test_without_bias_equal_clouds_cost_nothing_and_others_something():
    cost = Sinkhorn(debiased=True, iterations=100).between
    assert abs(cost(MODES[[1, 0, 3, 2]], MODES, QUARTERS).item()) < 1e-5 < 0.1 < cost(POINTS, MODES, QUARTERS).item()
    assert Sinkhorn().between(MODES, MODES, QUARTERS) > 0.01


def test_beside_a_picture_that_has_one_mode_another_is_sent_to_the_other():
    def pull(*points):
        places = torch.tensor([[point] for point in points], requires_grad=True)
        (len(points) * Sinkhorn(epsilon=1e-3, iterations=50).between(places, *TWO)).backward()
        assert places.grad is not None
        return places.grad[0].item()

    assert pull(4.0) == pytest.approx(2 * (4 - 5)), "alone it stands for both modes"
    assert pull(4.0, 0.0) == pytest.approx(2 * (4 - 10), abs=1e-3)


def test_finished_pictures_count_but_stay(tmp_path):
    context = toy_context(tmp_path, classes=(0, 1))
    objective, draft = Sinkhorn(), toy_draft(context)
    clean, made = draft.latents[LATENT][[0]].requires_grad_(), draft[torch.tensor([2, 1, 3])]
    found = objective.bind(context)(Synthetic(draft.prior, {LATENT: clean}, draft.ids[:1], draft.labels[:1], made=made))
    points = draft.latents[LATENT][:2].flatten(1)  # of its own class one is finished
    torch.testing.assert_close(found[0], 2 * objective.between(points, *objective._target(context, 0)))
    assert found[1] == 0, "nothing of the other class is being made"
    found.sum().backward()
    assert clean.grad is not None and bool((clean.grad != 0).any())


def test_on_the_sphere_only_directions_count():
    cost = Sinkhorn(sphere=True).between
    lengths = torch.tensor([[3.0], [0.5], [2.0], [1.5]])
    torch.testing.assert_close(cost(lengths * POINTS, MODES, QUARTERS), cost(POINTS, 7 * MODES, QUARTERS))
    unit = [points / points.norm(dim=1, keepdim=True) for points in (POINTS, MODES)]
    torch.testing.assert_close(cost(POINTS, MODES, QUARTERS), Sinkhorn().between(*unit, QUARTERS))


def test_no_entropy_is_refused():
    with pytest.raises(UserError, match="epsilon > 0"):
        Sinkhorn(epsilon=0.0)
