"""Selections that ask teachers: by confidence, difficulty, groups, herding and k-centre."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from gendistill.anchors.greedy import herding, k_centre
from gendistill.nets import ensemble
from gendistill.nets.trained import Loaded
from gendistill.steering.drafts import candidates
from gendistill.steering.select_confident import SelectConfident, by_confidence
from gendistill.steering.select_difficulty import (
    SelectDifficulty,
    bin_of,
    by_bins,
    cuts,
    divergence,
    histogram,
    largest_remainder,
    logarithmic,
    thresholds,
)
from gendistill.steering.select_greedy import SelectHerding, SelectKCentre
from gendistill.steering.select_groups import SelectGroups, ascend
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError
from tests.parts_under_test import TEACHER


class Sure(torch.nn.Module):
    """Sure of class 0 in proportion to the mean of a picture, and of class 1 where it is dark."""

    def forward(self, pixels):
        mean = pixels.flatten(1).mean(1)
        return torch.stack([20 * (mean - 0.5), torch.zeros_like(mean), torch.full_like(mean, -50.0)], 1)


SURE = Loaded(Sure())


def grey(context, values, oversample):
    draft = candidates(toy_draft(context), oversample)
    return replace(draft, latents={LATENT: torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()})


def kept(step, draft, context):
    return [round(float(value), 3) for value in step(draft, context).latents[LATENT][:, 0, 0, 0]]


@pytest.mark.parametrize(
    ("easiest", "ipc", "expected"),
    [(True, 2, [0.9, 0.7]), (False, 2, [0.6, 0.7]), (None, 49, [0.9, 0.7]), (None, 50, [0.6, 0.7])],
)
def test_the_correct_are_kept_by_confidence_and_ipc(easiest, ipc, expected, tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    draft = grey(context, [0.7, 0.1, 0.9, 0.6], 2)
    assert kept(SelectConfident((SURE,), easiest=easiest), draft, replace(context, ipc=ipc)) == expected


def test_the_most_confident_of_the_wrong_fill_up(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=3)
    draft = grey(context, [0.1, 0.4, 0.9, 0.2, 0.3, 0.0], 2)
    assert kept(SelectConfident((SURE,), easiest=False), draft, context) == [0.9, 0.4, 0.3]


def test_confidence_is_the_mean_of_probabilities():
    probabilities, labels = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0, 0])
    assert by_confidence(probabilities, labels, True).tolist() == [1, 0, 2]
    assert by_confidence(probabilities, labels, False).tolist() == [0, 1, 2]
    pixels, nets = (
        torch.rand(2, 1, 2, 2),
        [torch.nn.Flatten(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Softsign())],
    )
    expected = (nets[0](pixels).softmax(1) + nets[1](pixels).softmax(1)) / 2
    torch.testing.assert_close(ensemble.probabilities(nets, pixels), expected)


def test_difficulty_is_seen_on_a_logarithmic_scale_between_thresholds():
    found = logarithmic(torch.tensor([0.0, 0.001, 0.01, 0.1, 0.9]).double(), 0.001, 0.1)
    torch.testing.assert_close(found, torch.tensor([0, 0, 0.5, 1, 1]).double())
    assert logarithmic(torch.tensor([0.3, 0.4]).double(), 0.3, 0.3).tolist() == [0, 0]
    assert bin_of(torch.tensor([0.0, 0.099, 0.1, 1.0]), 10).tolist() == [0, 0, 1, 9]


def test_thresholds_minimise_the_two_divergences():
    difficulty = 10 ** (-4 * torch.rand(300, generator=torch.Generator().manual_seed(0)).double())
    before, even = histogram(difficulty, 4), torch.full((4,), 0.25).double()

    def value(bottom, top):
        after = histogram(logarithmic(difficulty, bottom, top), 4)
        literal = sum(p * math.log(p / q) for p, q in zip(before.tolist(), after.tolist(), strict=True) if p)
        return 0.5 * (literal - sum(p * math.log(p) for p in before.tolist() if p)) + 0.5 * (
            sum(0.25 * math.log(1 / q) for q in after.tolist())
        )

    found = thresholds(difficulty, *cuts(difficulty, 4))
    for low, high in itertools.product((0.0, 0.05, 0.1), repeat=2):
        ends = float(difficulty.quantile(low)), float(difficulty.quantile(1 - high))
        assert value(*found) <= value(*ends) + 1e-9
    assert divergence(even, torch.tensor([1.0, 0, 0, 0]).double()) > divergence(even, even)


def test_shares_sum_to_the_total_and_the_largest_remainders_win():
    assert largest_remainder(torch.tensor([0.5, 0.3, 0.2]).double(), 4).tolist() == [2, 1, 1]
    assert largest_remainder(torch.tensor([0.0, 1.0]).double(), 3).tolist() == [0, 3]


def test_shortages_are_filled_from_the_nearest_bins():
    places = torch.tensor([0, 0, 0, 1, 3, 3])
    assert by_bins(places, torch.tensor([1, 2, 0, 1])).tolist() == [0, 3, 4, 1], "bin 0 is nearer to 1 than 3 is"
    assert by_bins(places, torch.tensor([0, 0, 2, 0])).tolist() == [3, 4], "1 and 3 are equally near: the easier gives"


def test_kept_difficulties_follow_those_of_the_real_pictures(tmp_path, monkeypatch):
    """Three quarters of the real pictures are hard, one quarter is easy; so is what is kept of as many of both."""
    context = toy_context(tmp_path, classes=(0,), ipc=4)
    real = torch.tensor([0.9] * 3 + [0.45] * 9).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    monkeypatch.setattr(type(context), "stored", lambda self, index: real.mul(255).round().to(torch.uint8))
    draft = grey(context, [0.9] * 4 + [0.45] * 4, 2)
    assert sorted(kept(SelectDifficulty((SURE,)), draft, context)) == [0.45, 0.45, 0.45, 0.9]


def literal(centres, real, chosen, alpha, beta):
    mine = [groups[number] for groups, number in zip(centres, chosen, strict=True)]
    near = sum(-math.log(distance(c, r)) for c, r in zip(mine, real.tolist(), strict=True))
    apart = sum(math.log(distance(a, b)) for a, b in itertools.combinations(mine, 2))
    return alpha * near + beta / (len(mine) - 1) * apart


def distance(a, b):
    """One less the cosine."""
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_groups_reach_a_choice_that_no_single_change_improves():
    stream = torch.Generator().manual_seed(0)
    centres, real = [torch.randn(5, 3, generator=stream) for _ in range(4)], torch.randn(4, 3, generator=stream)
    chosen = ascend(centres, real, 0.4, 3.0, 50)
    lists = [groups.tolist() for groups in centres]
    best = literal(lists, real, chosen, 0.4, 3.0)
    for i, number in itertools.product(range(4), range(5)):
        assert literal(lists, real, [*chosen[:i], number, *chosen[i + 1 :]], 0.4, 3.0) <= best + 1e-9
    nearest = [[distance(group, r) for group in groups] for groups, r in zip(lists, real.tolist(), strict=True)]
    nearest = [each.index(min(each)) for each in nearest]
    assert ascend(centres, real, 0.4, 3.0, 0) == ascend(centres, real, 0.4, 0.0, 5) == nearest
    assert best > literal(lists, real, nearest, 0.4, 3.0), "the example asks for a change"


def test_a_whole_group_is_kept_slot_by_slot(tmp_path):
    context = toy_context(tmp_path, ipc=2)
    step = SelectGroups((TEACHER,))
    made = step(candidates(toy_draft(context), 3), context)
    assert step.scope == "set" and made.ids[:, :2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert all(len({row[2] % 3 for row in made.ids.tolist() if row[0] == index}) == 1 for index in (0, 1))


def test_groups_with_holes_are_refused(tmp_path):
    context = toy_context(tmp_path, ipc=2)
    with pytest.raises(UserError, match="whole groups"):
        SelectGroups((TEACHER,))(candidates(toy_draft(context), 3)[torch.arange(11)], context)


@pytest.mark.parametrize(("step", "pick"), [(SelectHerding, herding), (SelectKCentre, k_centre)])
def test_candidates_are_picked_by_features_against_the_real_pictures(step, pick, tmp_path):
    context = toy_context(tmp_path, classes=(1,), ipc=3)
    draft, net = candidates(toy_draft(context), 4), ensemble.load([TEACHER], context)[0]
    draft = replace(draft, latents={LATENT: torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))})
    real = net.features(context.stored(1).float() / 255)
    expected = draft.latents[LATENT][pick(net.features(draft.prior.decode(draft.latents)), real, 3)]
    assert torch.equal(step((TEACHER,))(draft, context).latents[LATENT], expected)


@pytest.mark.parametrize("step", [SelectConfident, SelectDifficulty, SelectGroups, SelectHerding, SelectKCentre])
def test_a_selection_names_its_teachers_and_needs_one(step):
    assert [one["name"] for one in step((SURE,)).origins("CC0")] == [repr(SURE)]
    with pytest.raises(UserError, match=f"{step.__name__} needs at least one teacher"):
        step(())
