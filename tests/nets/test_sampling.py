"""Networks of a matching objective follow from their key, are frozen, and lie where they should."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gendistill import seeds
from gendistill.learning.training import Training
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.sampling import Fixed, Fresh, Interpolated, Warming
from gendistill.nets.trained import Loaded, Trained, initial, load, shape_of
from gendistill.system.store import Store
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

LEARNING = Training(epochs=2, batch=8, lr=0.1, augment=None)
LINE = Interpolated(ConvNet(depth=2, width=8), LEARNING, count=2)
WARM = Warming((ConvNet(1, 4), ConvNet(1, 4, norm="batch")), steps=2, every=3, batch=8, lr=0.1)


def flat(net):
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


@pytest.mark.parametrize("networks", [Fresh(TEACHER.net), LINE, Fixed((TEACHER, Trained(TEACHER.net, LEARNING))), WARM])
def test_the_same_key_draws_the_same_frozen_network(networks, tmp_path):
    context = toy_context(tmp_path)
    nets, drawn = [], []
    for step in (*range(8), 0):
        nets += networks.draw(context, "step", step)[:1]
        drawn.append(flat(nets[-1]))  # now: some go on learning
    assert torch.equal(drawn[0], drawn[-1])
    assert any(not torch.equal(drawn[0], other) for other in drawn[1:-1])
    assert not any(weight.requires_grad for net in nets for weight in net.parameters())


def test_an_interpolated_network_lies_between_its_first_and_its_trained_weights(tmp_path):
    context, shares = toy_context(tmp_path), []
    lines = [(flat(initial(end, context)), flat(load(end, context))) for end in LINE.references]
    for step in range(6):
        (net,) = LINE.draw(context, step)
        found = []
        for start, end in lines:
            along, whole = flat(net) - start, end - start
            share = float(along @ whole / whole.square().sum())
            if torch.allclose(along, share * whole, atol=1e-6):
                found.append(share)
        assert len(found) == 1 and 0 <= found[0] < 1, "it is on one of the two lines"
        shares += found
    assert len(set(shares)) == 6


def test_trained_weights_are_read_once_in_a_unit(tmp_path, monkeypatch):
    context, asked, read = toy_context(tmp_path), [], Store.tensors
    monkeypatch.setattr(Store, "tensors", lambda store, kind, *rest: (asked.append(kind), read(store, kind, *rest))[1])
    for step in range(10):
        LINE.draw(context, step)
    assert asked.count("classifiers") == 2, "one for each end of a line"


def test_fixed_networks_are_the_given_ones(tmp_path):
    context, other = toy_context(tmp_path), Trained(TEACHER.net, LEARNING)
    both = Fixed((TEACHER, other), all=True).draw(context, "any")
    assert all(
        torch.equal(flat(net), flat(load(one, context))) for net, one in zip(both, (TEACHER, other), strict=True)
    )


def test_a_given_module_shows_its_logits_but_no_blocks(tmp_path):
    context, pixels = toy_context(tmp_path), torch.rand(2, 1, 8, 8)
    given = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(given[1].weight)  # it guesses, which is no wrong order of classes
    (net,) = Fixed((Loaded(given),)).draw(context, "any")
    assert torch.equal(net.features(pixels), given(pixels)) and net.mean.shape == (1, 1, 1, 1)
    with pytest.raises(UserError, match="Sequential"):
        net.layers(pixels)


@pytest.mark.parametrize(
    ("net", "sizes"), [(ConvNet(depth=3, width=4), [16, 8, 4]), (ResNet(depth=10, width=4), [16, 8, 4, 2])]
)
def test_layers_are_the_blocks_and_then_the_features(net, sizes):
    made = build(net, Shape(1, 16, 3, (0.5,), (0.2,)), 0, torch.device("cpu")).eval()
    pixels = torch.rand(2, 1, 16, 16)
    *blocks, features = made.layers(pixels)
    assert [block.shape[-1] for block in blocks] == sizes
    assert all(bool((block >= 0).all()) for block in blocks), "each is what a ReLU answers"
    assert torch.equal(features, made.features(pixels))


def test_a_warming_network_learns_before_every_look_until_another_begins(tmp_path):
    context, real = toy_context(tmp_path), toy_context(tmp_path).real.train
    looks, wrong = {}, []
    for step in range(6):
        (net,) = WARM.draw(context, "a class", step)
        assert WARM.draw(context, "another class", step)[0] is net and not net.training
        looks[step] = flat(net)
        wrong.append(float(torch.nn.functional.cross_entropy(net(real.pixels(range(36))), real.labels)))
    assert len({len(look) for look in looks.values()}) == 1 and not torch.equal(looks[2], looks[3])
    assert wrong[2] < wrong[0] and wrong[3] > wrong[2], "the fourth look is at a network that begins"
    for step in (5, 1, 4):  # however it was come to
        assert torch.equal(flat(WARM.draw(toy_context(tmp_path), "alone", step)[0]), looks[step])


def test_a_warming_network_follows_from_the_place_too(tmp_path):
    context = toy_context(tmp_path)
    for place in (1, 2):  # of one unit, as the spaces of a descent are
        found = flat(WARM.draw(replace(context, place=place), 0)[0])
        assert torch.equal(found, flat(WARM.draw(replace(toy_context(tmp_path), place=place), 0)[0]))


def test_the_first_look_of_a_warming_network_is_after_so_many_steps_of_sgd(tmp_path):
    context = toy_context(tmp_path)
    once = Warming((ConvNet(1, 4),), steps=1, batch=100, lr=0.1, momentum=0.0, weight_decay=0.0, augment=None)
    (net,) = once.draw(context, 0)
    key = (context.seed, "warming", context.place, 0)
    fresh = build(ConvNet(1, 4), shape_of(context), seeds.number(*key, "weights"), torch.device("cpu"))
    train = context.real.train
    pictures = train.pixels(range(36)), train.labels
    rest = torch.randperm(36, generator=seeds.stream(*key, 0))  # 100 of 36: each twice, and the rest again
    counts = torch.bincount(torch.cat([rest, rest, rest[:28]]), minlength=36).float()
    loss = torch.nn.functional.cross_entropy(fresh(pictures[0]), pictures[1], reduction="none")
    (loss * counts).sum().div(100).backward()
    wanted = torch.cat([(weight - 0.1 * weight.grad).detach().flatten() for weight in fresh.parameters()])
    torch.testing.assert_close(flat(net), wanted)


def test_what_warms_nothing_is_refused():
    with pytest.raises(UserError, match="Warming needs at least one of nets"):
        Warming(())
