"""CutMix says how much it cut, MixUp's weights have the distribution that is asked for."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from gendistill.types import UserError
from gendistill.views.beta import beta_numbers
from gendistill.views.cutmix import CutMix
from gendistill.views.mixup import MixUp
from gendistill.views.numbers import numbered

BLACK, WHITE = torch.zeros(400, 1, 20, 14), torch.ones(400, 1, 20, 14)


def draw(count=400):
    return numbered(0, torch.arange(count), 0)


def test_the_share_is_the_counted_area():
    """The partner is white: what of a mixed picture is black is its own."""
    mixed, share = CutMix()(BLACK, WHITE, draw())
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(share, (mixed == 0).float().mean((1, 2, 3)))
    assert share.min() < 0.3 and share.max() == 1


def test_what_is_cut_is_one_box():
    for one in CutMix()(BLACK, WHITE, draw())[0][:, 0].bool():
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows.unsqueeze(1) & columns)
        for line in (rows, columns):
            where = line.nonzero().flatten()
            assert len(where) == 0 or len(where) == where[-1] - where[0] + 1


def test_probability_is_how_often_anything_is_mixed():
    for mix in (CutMix(probability=0.25), MixUp(probability=0.25)):
        share = mix(BLACK, WHITE, draw())[1]
        assert 0.15 < float((share < 1).float().mean()) < 0.35
    assert bool((MixUp(probability=0.0)(BLACK, WHITE, draw())[0] == 0).all())


def test_mixup_is_a_weighted_mean():
    pixels, partners = torch.rand(2, 400, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mixed, share = MixUp()(pixels, partners, draw())
    s = share.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed, s * pixels + (1 - s) * partners)


@pytest.mark.parametrize("beta", [0.2, 0.8, 1.0, 3.0])
def test_weights_are_of_the_beta_distribution(beta):
    uniform = draw(4000)(1)[:, 0]
    found = beta_numbers(uniform, beta)
    assert stats.kstest(found.numpy(), stats.beta(beta, beta).cdf).pvalue > 0.01
    inner = (uniform > 1 / 256) & (uniform < 255 / 256)  # the last steps of the table are long
    wanted = torch.from_numpy(stats.beta.ppf(uniform[inner].double().numpy(), beta, beta)).float()
    torch.testing.assert_close(found[inner], wanted, atol=1e-3, rtol=0)
    assert bool((found[uniform.argsort()].diff() >= 0).all()), "one number makes one, in order"


def test_impossible_mixes_are_refused():
    with pytest.raises(UserError, match="beta"):
        CutMix(beta=0)
    with pytest.raises(UserError, match="probability"):
        MixUp(probability=1.5)
