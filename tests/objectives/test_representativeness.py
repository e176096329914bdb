"""Minimax, first half: the real picture that is covered least."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.objectives.representativeness import Newest, Representativeness
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError

NO_ROWS = (torch.zeros(0, 1, 1, 2), torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 1, 2))


def plane(*degrees):
    """Latents in a plane, at these angles."""
    return torch.tensor([(math.cos(math.radians(d)), math.sin(math.radians(d))) for d in degrees]).view(-1, 1, 1, 2)


def look(context, clean, labels):
    ids = torch.tensor([(label, slot, 0) for slot, label in enumerate(labels)])
    return Synthetic(context.prior, {LATENT: clean}, ids, torch.tensor(labels))


def cos(degrees):
    return math.cos(math.radians(degrees))


def test_is_one_minus_the_smallest_cosine_of_the_class_times_n(tmp_path):
    context = toy_context(tmp_path)
    loss = Representativeness().bind(context)
    loss.remember(plane(0, 0), torch.tensor([0, 1]), 3 * plane(0, 90))
    loss.remember(plane(0), torch.tensor([0]), plane(50))
    # class 0: pictures at 20 and 40 degrees, real ones at 0 and 50; class 1: a picture at 60, a real one at 90
    found = loss(look(context, 2 * plane(20, 40, 60), [0, 0, 1]))
    torch.testing.assert_close(found, torch.tensor([2 * (1 - cos(40)), 1 - cos(30)]))


def test_only_the_pair_that_is_farthest_apart_moves(tmp_path):
    context, clean = toy_context(tmp_path), plane(20, 40, 60).requires_grad_()
    loss = Representativeness().bind(context)
    loss.remember(plane(0, 0), torch.tensor([0, 0]), plane(0, 50))
    loss(look(context, clean, [0, 0, 0])).sum().backward()
    assert (clean.grad.flatten(1).norm(dim=1) > 0).tolist() == [False, False, True]


def test_a_class_that_tuning_did_not_see_yet_counts_nothing(tmp_path):
    context = toy_context(tmp_path)
    loss = Representativeness().bind(context)
    loss.remember(*NO_ROWS)
    assert loss(look(context, plane(1, 2), [0, 1])).tolist() == [0, 0]
    loss.remember(plane(0), torch.tensor([1]), plane(90))
    found = loss(look(context, plane(1, 2), [0, 1]))
    assert found[0] == 0 and found[1] > 0.9


def test_elsewhere_real_latents_of_the_class_are_covered(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), Representativeness(memory=64).bind(context)
    found = loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels))
    for index in context.classes:
        real, clean = context.latents(index).flatten(1), draft.latents[LATENT][draft.labels == index].flatten(1)
        worst = min(float(torch.cosine_similarity(z, m, dim=0)) for z in clean for m in real)
        assert found[index].item() == pytest.approx(2 * (1 - worst), rel=1e-5)
    few = [Representativeness(memory=3).bind(context)(look(context, draft.latents[LATENT], [0, 0, 1, 1])) for _ in "ab"]
    assert torch.equal(*few) and (few[0] < found).any()


def test_what_is_drawn_follows_from_the_place_too(tmp_path):
    context, draft = toy_context(tmp_path), toy_draft(toy_context(tmp_path))
    for place in (1, 2):  # of one unit, as the spaces of a descent are
        found, alone = (
            Representativeness(memory=3).bind(replace(one, place=place))(
                look(context, draft.latents[LATENT], [0, 0, 1, 1])
            )
            for one in (context, toy_context(tmp_path))
        )
        assert torch.equal(found, alone)


def test_newest_are_kept_in_order_and_survive_a_checkpoint():
    held = Newest(3, torch.device("cpu"))
    rows = 5 * torch.eye(7)  # seven directions
    held.add(rows[:3], torch.tensor([0, 1, 0]))
    held.add(rows[3:], torch.tensor([0, 1, 0, 0]))
    again = Newest(3, torch.device("cpu"))
    assert held.began and not again.began
    again.load_state_dict(held.state_dict())
    for memory in (held, again):
        assert memory.began and torch.equal(memory.of(0)[0], torch.eye(7)[[3, 5, 6]])
        assert torch.equal(memory.of(1)[0], torch.eye(7)[[1, 4]]) and memory.of(2) == ()


def test_a_bound_loss_goes_on_from_its_state(tmp_path):
    context = toy_context(tmp_path)
    loss, again = (Representativeness(memory=2).bind(context) for _ in "ab")
    loss.remember(plane(0, 0, 0), torch.tensor([0, 0, 0]), plane(90, 30, 50))
    again.load_state_dict(loss.state_dict())
    seen = look(context, plane(0), [0])
    assert again(seen)[0].item() == loss(seen)[0].item() == pytest.approx(1 - cos(50), rel=1e-5)


def test_memory_must_hold_something():
    with pytest.raises(UserError, match="memory=0|got 0"):
        Representativeness(memory=0)
