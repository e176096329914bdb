"""The distance of layer statistics equals its formula; per class it is zero on the class itself, and sees no order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.draft import Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained, load
from gendistill.objectives import batch_norm
from gendistill.objectives.batch_norm import BatchNorm
from gendistill.testing import check_objective
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER, example

NORMED = replace(TEACHER, net=ConvNet(depth=2, width=8, norm="batch"))


def look(draft, pixels=None):
    decode = None if pixels is None else lambda latents: pixels
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, decode=decode)


def test_it_is_the_published_sum_over_layers_times_n(tmp_path):
    context = toy_context(tmp_path)
    synthetic, net = look(toy_draft(context)), load(NORMED, context)
    conv, norm, relu, pool, second, norm2 = net.body[:6]
    x = conv((synthetic.pixels - net.mean) / net.std)
    y = second(pool(relu(norm(x))))
    expected = 0.0
    for weight, z, layer in ((10.0, x, norm), (1.0, y, norm2)):
        mean = z.mean((0, 2, 3))
        var = (z - mean.view(1, -1, 1, 1)).square().mean((0, 2, 3))
        expected += weight * ((mean - layer.running_mean).norm() + (var - layer.running_var).norm())
    found = BatchNorm((NORMED,)).bind(context)(synthetic)
    torch.testing.assert_close(found, 4 * expected.view(1))


def test_a_class_has_no_distance_to_itself(tmp_path):
    context = toy_context(tmp_path, ipc=12)
    real = torch.cat([context.stored(index) for index in context.classes]).float() / 255
    draft = toy_draft(context)
    own = BatchNorm((NORMED,), per_class=True).bind(context)(look(draft, real))
    swapped = BatchNorm((NORMED,), per_class=True).bind(context)(look(draft, real.flip(0)))
    assert own.max() < 1e-3 < swapped.min()


def test_measured_block_by_block_is_measured_at_once(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    net, stored = load(NORMED, context), context.stored(0)
    whole = batch_norm.statistics(net, stored.float() / 255)
    monkeypatch.setattr(batch_norm, "together", lambda shape: 5)
    torch.testing.assert_close(batch_norm.measured(net, stored, context.device), whole)


def test_only_statistics_count_not_who_has_which_pixels(tmp_path):
    """Two sets of single colours, dealt in another order, are the same to it: it judges sets, not pictures."""
    context = toy_context(tmp_path)
    loss, draft = BatchNorm((NORMED,)).bind(context), toy_draft(context)
    pixels = look(draft).pixels
    torch.testing.assert_close(loss(look(draft, pixels)), loss(look(draft, pixels.roll(1, 0))))
    assert not torch.allclose(loss(look(draft, pixels)), loss(look(draft, pixels.roll(1, 1).mul(0.5))))


def test_a_class_without_pictures_contributes_nothing(tmp_path):
    context = toy_context(tmp_path)
    found = BatchNorm((NORMED,), per_class=True).bind(context)(look(toy_draft(context)[slice(0, 2)]))
    assert found[0] > 0 and found[1] == 0


def test_per_class_keeps_the_contract_too(tmp_path):
    objective = replace(example(BatchNorm), per_class=True)
    assert (objective.scope, BatchNorm().scope) == ("class", "set")
    check_objective(objective, toy_context(tmp_path))


def test_networks_without_batch_norm_are_refused(tmp_path):
    with pytest.raises(UserError, match='norm="batch"'):
        BatchNorm((Trained(ConvNet()),))
    plain = load(TEACHER, toy_context(tmp_path))
    with pytest.raises(UserError, match="Classifier has none"):
        BatchNorm((plain,)).bind(toy_context(tmp_path))


def test_layers_that_pictures_do_not_pass_are_named(tmp_path):
    net = load(NORMED, toy_context(tmp_path))
    net.add_module("helper", torch.nn.Sequential(torch.nn.BatchNorm2d(3)))
    with pytest.raises(UserError, match=r"do not pass helper\.0 of the Classifier"):
        batch_norm.statistics(net, torch.rand(2, 1, 8, 8))
