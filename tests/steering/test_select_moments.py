"""The subset nearest to the class by its moments over the set."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from gendistill.anchors.moments import distance, of_sets
from gendistill.steering.drafts import candidates
from gendistill.steering.select_moments import SelectMoments
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, classes=(0,), ipc=3)


def pool(context, latents):
    return replace(candidates(toy_draft(context), 2), latents={LATENT: latents})


def test_with_many_draws_the_best_of_all_subsets_is_kept(context):
    latents = context.prior.centres[0] + 0.3 * torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    real = of_sets(context.latents(0).flatten(1).double())

    def score(rows):
        return float(distance(of_sets(latents[list(rows)].flatten(1).double()), real, (1, 1, 0.5)))

    best = min(itertools.combinations(range(6), 3), key=score)
    made = SelectMoments(draws=500)(pool(context, latents), context)
    assert torch.equal(made.latents[LATENT], latents[list(best)])
    assert made.ids[:, 1].tolist() == [0, 1, 2]


def test_a_set_is_spread_as_the_class_although_each_of_its_pictures_is_far_from_the_mean(context, monkeypatch):
    """What no ranking of single pictures can see: two far ones on both sides, rather than all near the mean."""
    values = torch.tensor([-1.0, 1.0] * 6)
    monkeypatch.setattr(type(context), "latents", lambda self, index: values.view(-1, 1, 1, 1).expand(-1, 1, 4, 4))
    latents = torch.tensor([0.0, -1.0, 0.05, 1.0, -0.05, 0.0]).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    made = SelectMoments(draws=200)(pool(context, latents), context)
    assert {-1.0, 1.0} <= set(made.latents[LATENT][:, 0, 0, 0].tolist())


def test_chunks_choose_from_the_same_draws(context, monkeypatch):
    draft = pool(context, torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1)))
    whole = SelectMoments(draws=8)(draft, context)
    monkeypatch.setattr("gendistill.steering.select_moments.TOGETHER", 16 * 3)
    assert torch.equal(SelectMoments(draws=8)(draft, context).ids, whole.ids)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"std": -1.0}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(UserError):
        SelectMoments(**wrong)
