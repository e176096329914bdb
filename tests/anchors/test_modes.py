"""Modes with outliers left out, and found in principal components."""

from __future__ import annotations

import pytest
import torch

from gendistill.anchors.modes import Modes, inliers
from gendistill.toys import toy_context
from gendistill.types import UserError


@pytest.fixture
def context(tmp_path, monkeypatch):
    """Class 0 has ten latents around 0, nine around 1, and one far away."""
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    latents = 0.05 * torch.randn(20, *context.prior.latent_shape, generator=torch.Generator().manual_seed(0))
    latents[10:19] += 1
    latents[19] += 30
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    return context


def level_of(modes):
    return modes.flatten(1).mean(1)


def test_an_outlier_takes_a_mode_unless_it_is_left_out(context):
    with_it, without = (
        level_of(Modes(clean_outliers=share).find(context, 0, torch.arange(2))) for share in (0.0, 0.05)
    )
    torch.testing.assert_close(with_it, torch.tensor([9 / 19, 30.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(without, torch.tensor([0.0, 1.0]), atol=0.1, rtol=0)


def test_the_asked_share_is_left_out(context):
    assert len(inliers(context.latents(0), 0.25)) == 15
    assert len(inliers(context.latents(0)[:2], 0.25)) == 2, "two say nothing about density"


def test_principal_components_see_what_varies_most_and_no_more(context, monkeypatch):
    """Two tight groups along one axis; along another the latents vary more, but evenly."""
    latents = torch.zeros(40, *context.prior.latent_shape)
    latents[:, 0, 0, 0] = torch.tensor([-1.0, 1.0]).repeat(20)
    latents[:, 0, 0, 1] = torch.linspace(-1.75, 1.75, 20).repeat_interleave(
        2
    )  # variance 1.13, of which a cut takes 3/4
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    apart = {}
    for components in (0, 1):
        modes = Modes(components=components).find(context, 0, torch.arange(2))
        apart[components] = (modes[0] - modes[1]).abs()[0, 0, :2]
    assert apart[0][0] > 1.9 and apart[0][1] < 0.3
    assert apart[1][0] < 0.3 and apart[1][1] > 1.6


def test_pooled_latents_are_clustered_by_level_and_modes_are_of_whole_ones(context, monkeypatch):
    """Columns of 5 and -5 are 0 when pooled by 2: four pictures are 0, three are 1.

    Of three with columns one way and one the other the mean is 2.5 and -2.5, the nearest of them 5 and -5.
    """
    columns = 5.0 * torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(1, 4, 4)
    latents = torch.stack([columns, columns, columns, -columns, 1 + columns, 1 - columns, torch.ones(1, 4, 4)])
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    rows = {medoid: Modes(pool=2, medoid=medoid).find(context, 0, torch.arange(2))[:, 0, 0] for medoid in (False, True)}
    torch.testing.assert_close(rows[False], torch.tensor([[2.5, -2.5, 2.5, -2.5], [1.0, 1.0, 1.0, 1.0]]))
    torch.testing.assert_close(rows[True], torch.tensor([[5.0, -5.0, 5.0, -5.0], [1.0, 1.0, 1.0, 1.0]]))
    whole = Modes().find(context, 0, torch.arange(2))[:, 0, 0]
    assert not torch.allclose(whole, rows[False], atol=0.5), "unpooled, columns decide"


@pytest.mark.parametrize("medoid", [False, True])
def test_a_class_of_few_different_latents_has_as_many_modes(medoid, context, monkeypatch):
    values = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])
    latents = values.view(-1, 1, 1, 1).expand(-1, *context.prior.latent_shape).clone()
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    modes = Modes(count=4, medoid=medoid).find(context, 0, torch.arange(4))
    assert level_of(modes).tolist() == [1, 0, 1, 0], "the most populous first, and then again"


@pytest.mark.parametrize(
    "wrong", [{"clean_outliers": 0.6}, {"components": -1}, {"count": 0}, {"count": -2}, {"pool": 0}]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(UserError, match="Modes needs"):
        Modes(**wrong)
