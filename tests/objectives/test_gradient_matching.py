"""DC and DSA: the distance of gradients, and the network whose gradients they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.draft import Synthetic
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.objectives.gradient_matching import GradientMatching, distance
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError
from gendistill.views.siamese import Siamese

NET = ConvNet(depth=2, width=8)


def look(draft, step=0, latents=None):
    return Synthetic(draft.prior, latents or draft.latents, draft.ids, draft.labels, step=step)


def of_real(context, draft):
    """A synthetic set whose pictures are the real ones."""
    pixels = torch.cat([context.stored(index).float() / 255 for index in context.classes])
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, decode=lambda _: pixels)


def fresh(context, number):
    return build(NET, shape_of(context), seeds.number(0, "gradient matching", 0, number, "net"), context.device)


def published(net, context, pixels, index):
    """Rows by hand, with a graph to the pixels."""

    def gradients(pictures):
        loss = F.cross_entropy(net(pictures), torch.full((len(pictures),), index))
        return torch.autograd.grad(loss, list(net.parameters()), create_graph=True)

    total = torch.zeros(())
    for real, made in zip(gradients(context.stored(index).float() / 255), gradients(pixels), strict=True):
        if real.dim() > 1:
            for g, h in zip(real.detach(), made, strict=True):
                total = total + 1 - (g * h).sum() / (g.pow(2).sum().sqrt() * h.pow(2).sum().sqrt() + 1e-6)
    return total


def test_distance_by_hand():
    weight = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0]])
    bias = torch.tensor([1.0, 1.0]), torch.tensor([-1.0, 0.0])
    found = distance([weight[0], bias[0]], [weight[1], bias[1]])
    torch.testing.assert_close(found, torch.tensor((1 - 24 / 25) + (1 - 0)), atol=1e-6, rtol=0)


def test_distance_looks_at_directions_of_rows_alone():
    one, other = (torch.randn(4, 3, 3, 3, generator=seeds.stream(name)) for name in ("one", "other"))
    scale = torch.tensor([0.5, 1.0, 2.0, 4.0]).view(-1, 1, 1, 1)
    torch.testing.assert_close(distance([one * scale], [other]), distance([one], [other]))
    assert not torch.allclose(distance([one * scale.view(1, 1, -1, 1)[:, :, :3]], [other]), distance([one], [other]))


def test_a_row_without_gradient_costs_one_and_stops_none():
    dead = torch.zeros(2, 3, requires_grad=True)
    value = distance([dead], [torch.ones(2, 3)])
    assert value.item() == 2 and torch.isfinite(torch.autograd.grad(value, dead)[0]).all()


def test_value_and_gradient_are_those_of_the_formula_times_n(tmp_path):
    context = toy_context(tmp_path, ipc=3)
    draft, value = toy_draft(context), toy_draft(context).latents[LATENT].requires_grad_()
    found = GradientMatching(net=NET).bind(context)(look(draft, 5, {LATENT: value}))
    pixels = draft.prior.decode({LATENT: value})
    expected = [
        3 * published(fresh(context, 5), context, pixels[draft.labels == index], index) for index in context.classes
    ]
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(*(torch.autograd.grad(each.sum(), value)[0] for each in (found, torch.stack(expected))))


def test_is_zero_where_the_synthetic_pictures_are_the_real_ones(tmp_path):
    context = toy_context(tmp_path, ipc=12)
    loss = GradientMatching(net=NET).bind(context)
    # what is left is the 1e-6 in the denominator
    assert (loss(of_real(context, toy_draft(context))) < 1e-3 * loss(look(toy_draft(context)))).all()


def test_both_sides_are_changed_alike(tmp_path):
    context = toy_context(tmp_path, ipc=12)
    loss = GradientMatching(net=NET, augment=Siamese(("crop", "rotate", "color"))).bind(context)
    assert (loss(of_real(context, toy_draft(context))) < 1e-3 * loss(look(toy_draft(context)))).all()


def test_a_batch_of_real_pictures_is_drawn_anew_at_every_step(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), GradientMatching(net=NET, batch=4, outer=100).bind(context)
    assert not torch.equal(loss(look(draft, 0)), loss(look(draft, 1)))


def test_one_network_serves_outer_steps(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), GradientMatching(net=NET, outer=2).bind(context)
    first, second, third = (loss(look(draft, step)) for step in (0, 1, 2))
    # every picture is in the batch, so that only the network can make a difference; its order does, by rounding
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, third)


def test_the_network_learns_from_the_pictures_between_two_steps(tmp_path):
    context = toy_context(tmp_path)
    draft, loss = toy_draft(context), GradientMatching(net=NET, outer=3, inner=2, net_lr=0.1).bind(context)
    loss(look(draft, 3))
    found = loss(look(draft, 4)), loss(look(draft, 4))
    net, pixels = fresh(context, 1), draft.prior.decode(draft.latents)
    for _ in range(2):  # all pictures are one batch
        gradients = torch.autograd.grad(F.cross_entropy(net(pixels), draft.labels), list(net.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient
    expected = sum(2 * published(net, context, pixels[draft.labels == index], index) for index in context.classes)
    assert torch.equal(*found) and found[0].shape == (1,)
    torch.testing.assert_close(found[0].squeeze(), expected)


def test_begins_anew_at_every_period(tmp_path):
    context, objective = toy_context(tmp_path), GradientMatching(net=NET, outer=2, inner=1)
    draft, went_on = toy_draft(context), objective.bind(context)
    at = {step: went_on(look(draft, step)) for step in range(5)}
    resumed = objective.bind(context)
    for step in range(objective.period, 5):
        assert torch.equal(resumed(look(draft, step)), at[step])


def test_sees_all_classes_only_where_the_network_learns():
    assert GradientMatching().scope == "class" and GradientMatching(outer=10, inner=50).scope == "set"


def test_a_plan_times_the_training_of_the_network(tmp_path):
    context, objective = toy_context(tmp_path), GradientMatching(net=NET, outer=2, inner=1)
    planned = objective.bind(replace(context, dry=True))(look(toy_draft(context)))
    assert not torch.equal(planned, objective.bind(context)(look(toy_draft(context))))


def test_mistakes_are_told(tmp_path):
    with pytest.raises(UserError, match="raise outer"):
        GradientMatching(inner=1)
    with pytest.raises(UserError, match="outer=0"):
        GradientMatching(outer=0)
    with pytest.raises(UserError, match="norm='instance'"):
        GradientMatching(net=ConvNet(depth=2, width=8, norm="batch")).bind(toy_context(tmp_path))
