"""Cores of a class by density, brought to one per picture."""

from __future__ import annotations

import pytest
import torch

from gendistill.anchors.dense import Dense, as_many, core, reduced, standard
from gendistill.toys import ToyData, toy_context
from gendistill.types import UserError


def test_the_core_belongs_most_surely_and_is_nearest_to_the_mean():
    points, surely = torch.tensor([[0.0], [1.0], [5.0], [9.0]]), torch.tensor([0.2, 1.0, 1.0, 0.3]).double()
    assert int(core(points, surely, torch.tensor([0, 1, 2, 3]))) == 2, "the mean is 3.75"
    assert int(core(points, surely, torch.tensor([0, 3]))) == 3


def test_too_many_clusters_leave_the_largest():
    clusters = [torch.tensor([0]), torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    assert [part.tolist() for part in as_many(clusters, torch.zeros(6, 1), 2, 0)] == [[1, 2, 3], [4, 5]]


def test_too_few_clusters_split_the_largest():
    points = torch.tensor([[0.0], [0.1], [0.2], [10.0], [10.1], [50.0]])
    parts = as_many([torch.arange(5), torch.tensor([5])], points, 3, 0)
    assert sorted(part.tolist() for part in parts) == [[0, 1, 2], [3, 4], [5]]


def test_points_that_are_all_the_same_are_parted_too():
    assert sorted(len(part) for part in as_many([torch.arange(5)], torch.ones(5, 2), 3, 0)) == [1, 2, 2]


def test_a_dimension_that_does_not_vary_stays_zero():
    found = standard(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    assert found.tolist() == [[-1, 0], [1, 0]]


def test_principal_components_keep_distances_when_there_are_enough():
    points = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cdist(reduced(points, 9, 0), reduced(points, 9, 0)), torch.cdist(points, points))
    assert reduced(points, 2, 0).shape == (6, 2) and reduced(points, 0, 0) is points


def test_anchors_are_real_latents_and_differ(tmp_path):
    context = toy_context(tmp_path, ipc=4, data=ToyData(per_class=60))
    found, real = Dense().find(context, 0, torch.arange(4)), context.latents(0)
    assert all(bool((real == one).flatten(1).all(1).any()) for one in found)
    assert len(found.flatten(1).unique(dim=0)) == 4


def test_dense_places_are_found_and_what_lies_between_is_left_out(tmp_path, monkeypatch):
    context = toy_context(tmp_path, ipc=2, data=ToyData(per_class=45))
    stream = torch.Generator().manual_seed(0)
    where = torch.tensor([0.0, 5.0, 0.0]).repeat_interleave(torch.tensor([25, 15, 5]))
    latents = where.view(-1, 1, 1, 1) + 0.05 * torch.randn(45, *context.prior.latent_shape, generator=stream)
    latents[40:] = 20 * torch.randn(5, *context.prior.latent_shape, generator=stream)
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    found = Dense(components=0).find(context, 0, torch.arange(2))
    torch.testing.assert_close(found.flatten(1).mean(1), torch.tensor([0.0, 5.0]), atol=0.1, rtol=0)


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(UserError, match="least"):
        Dense(least=1)
