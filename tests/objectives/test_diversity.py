"""Minimax, second half, and IGD's deviation: the nearest other picture of the class."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.draft import Draft, Synthetic
from gendistill.objectives.diversity import Diversity
from gendistill.toys import toy_context
from gendistill.types import LATENT, UserError


def plane(*degrees):
    """Latents in a plane, at these angles."""
    return torch.tensor([(math.cos(math.radians(d)), math.sin(math.radians(d))) for d in degrees]).view(-1, 1, 1, 2)


def draft(context, clean, labels):
    ids = torch.tensor([(label, slot, 0) for slot, label in enumerate(labels)])
    return Draft(context.prior, {LATENT: clean}, ids, torch.tensor(labels), torch.ones(len(labels)))


def look(context, clean, labels, made=None):
    now = draft(context, clean, labels)
    return Synthetic(now.prior, now.latents, now.ids, now.labels, made=made)


def cos(degrees):
    return math.cos(math.radians(degrees))


def test_minimax_is_the_largest_cosine_to_earlier_predictions_times_n(tmp_path):
    context = toy_context(tmp_path)
    loss = Diversity().bind(context)
    loss.remember(5 * plane(0, 90), torch.tensor([0, 1]), plane(0, 0))
    # the pictures of class 0 are 10 degrees apart, which fine-tuning does not look at
    found = loss(look(context, plane(20, 30, 30), [0, 0, 1]))
    torch.testing.assert_close(found, torch.tensor([2 * cos(20), cos(60)]))


def test_igd_is_the_largest_cosine_of_each_picture_to_the_finished_ones(tmp_path):
    context = toy_context(tmp_path)
    made = draft(context, plane(0, 70, 10), [0, 0, 1])
    loss = Diversity(over="picture").bind(context)
    torch.testing.assert_close(loss(look(context, plane(20), [0], made)), torch.tensor([cos(20), 0]))
    # 100 and 20 are made together: 20 is nearest to the finished 0, 100 to the finished 70
    torch.testing.assert_close(loss(look(context, plane(20, 100), [0, 0], made))[0], torch.tensor(cos(20) + cos(30)))


def test_pictures_that_are_made_together_differ_from_each_other(tmp_path):
    context = toy_context(tmp_path)
    seen = look(context, plane(0, 20, 50, 7), [0, 0, 0, 1])
    each, whole = (Diversity(over=over).bind(context)(seen) for over in ("picture", "class"))
    torch.testing.assert_close(each, torch.tensor([cos(20) + cos(20) + cos(30), 0]))
    torch.testing.assert_close(whole, torch.tensor([3 * cos(20), 0]))


@pytest.mark.parametrize("over", ["picture", "class"])
def test_candidates_of_a_slot_are_no_others(tmp_path, over):
    context, clean = toy_context(tmp_path), plane(0, 20, 50)
    ids = torch.tensor([(0, 0, 0), (0, 0, 1), (0, 1, 0)])

    def loss(rows):
        seen = Synthetic(context.prior, {LATENT: clean[rows]}, ids[rows], torch.zeros(len(rows), dtype=torch.long))
        return Diversity(over=over).bind(context)(seen)[0].item()

    assert loss([0, 1]) == 0
    nearest = cos(30) + cos(50) + cos(30) if over == "picture" else 3 * cos(30)
    assert loss([0, 1, 2]) == pytest.approx(nearest, rel=1e-5)


def test_a_step_down_turns_each_picture_away_from_its_nearest(tmp_path):
    context, clean = toy_context(tmp_path), plane(0, 20, 50).requires_grad_()
    Diversity(over="picture").bind(context)(look(context, clean, [0, 0, 0])).sum().backward()
    moved = (clean - 0.1 * clean.grad).detach().view(3, 2)
    angles = torch.rad2deg(torch.atan2(moved[:, 1], moved[:, 0]))
    assert angles[0] < -1 and angles[1] > 21 and angles[2] > 51


def test_over_the_class_only_the_nearest_pair_moves(tmp_path):
    context, clean = toy_context(tmp_path), plane(0, 20, 50).requires_grad_()
    Diversity().bind(context)(look(context, clean, [0, 0, 0])).sum().backward()
    assert clean.grad[2].abs().max() == 0 and clean.grad[:2].abs().max() > 0


def test_nothing_to_differ_from_has_a_gradient_of_zero(tmp_path):
    context, clean = toy_context(tmp_path), plane(20).requires_grad_()
    value = Diversity().bind(context)(look(context, clean, [1]))
    value.sum().backward()
    assert value.tolist() == [0, 0] and clean.grad.abs().max() == 0


def test_a_class_without_predictions_counts_nothing_in_fine_tuning(tmp_path):
    context = toy_context(tmp_path)
    loss = Diversity().bind(context)
    seen = look(context, plane(0, 10, 0), [0, 0, 1])
    assert loss(seen)[0] > 1  # before tuning: the two of class 0 are near each other
    loss.remember(torch.zeros(0, 1, 1, 2), torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 1, 2))
    assert loss(seen).tolist() == [0, 0]


def test_only_the_newest_are_looked_at(tmp_path):
    context = toy_context(tmp_path)
    tuned, sampled = (Diversity(memory=2).bind(context) for _ in "ab")
    for angle in (0, 40, 80):
        tuned.remember(plane(angle), torch.tensor([0]), plane(0))
    seen = plane(10)
    assert tuned(look(context, seen, [0]))[0].item() == pytest.approx(cos(30), rel=1e-5)
    made = draft(context, plane(0, 40, 80), [0, 0, 0])
    assert sampled(look(context, seen, [0], made))[0].item() == pytest.approx(cos(30), rel=1e-5)
    again = Diversity(memory=2).bind(context)
    again.load_state_dict(tuned.state_dict())
    assert torch.equal(again(look(context, seen, [0])), tuned(look(context, seen, [0])))


def test_memory_must_hold_something():
    with pytest.raises(UserError, match="got 0"):
        Diversity(memory=0)
