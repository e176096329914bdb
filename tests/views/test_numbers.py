"""Numbers of views follow from what they are for, and are as good as random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gendistill.views.numbers import mixed, numbered, permutation

CPU = torch.device("cpu")


def drawn(seed=0, count=64, view=0, *shape):
    return numbered(seed, torch.arange(count), view)(*shape)


def test_the_hash_is_splitmix64():
    """The first outputs of the reference implementation for the state 0."""
    states = np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    wanted = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mixed(states).tolist() == wanted


def test_a_number_depends_on_neither_batch_nor_order_nor_how_it_is_drawn():
    positions = torch.tensor([7, 3, 11, 3])
    whole = drawn(5, 12, 2, 6)
    assert torch.equal(numbered(5, positions, 2)(6), whole[positions])
    draw = numbered(5, torch.arange(12), 2)
    assert torch.equal(torch.cat([draw(1), draw(2, 1).flatten(1), draw(3)], 1), whole)


def test_they_are_uniform():
    found = drawn(0, 500, 0, 40).flatten().numpy()
    assert 0 <= found.min() and found.max() < 1
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    "other",
    [drawn(0, 4097, 0, 8)[1:], drawn(0, 4096, 1, 8), drawn(1, 4096, 0, 8), drawn(0, 4096, 0, 9)[:, 1:]],
    ids=["picture", "view", "seed", "place"],
)
def test_neighbours_know_nothing_of_each_other(other):
    """No correlation, and every quarter of one meets every quarter of the other equally often."""
    mine = drawn(0, 4096, 0, 8).flatten()
    theirs = other.flatten()
    assert abs(float(torch.corrcoef(torch.stack([mine, theirs]))[0, 1])) < 4 / len(mine) ** 0.5
    met = torch.bincount((mine * 4).long() * 4 + (theirs * 4).long(), minlength=16)
    assert stats.chisquare(met.numpy()).pvalue > 0.001


def test_a_permutation_is_one_and_another_in_every_view():
    first, second = permutation(3, 0, 50), permutation(3, 1, 50)
    assert first.sort().values.tolist() == list(range(50))
    assert torch.equal(first, permutation(3, 0, 50)) and not torch.equal(first, second)
    assert not torch.equal(first, permutation(4, 0, 50))
