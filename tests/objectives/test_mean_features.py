"""Distribution matching."""

from __future__ import annotations

import torch

from gendistill import seeds
from gendistill.draft import Synthetic
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.nets.trained import shape_of
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.toys import toy_context, toy_draft

NET = ConvNet(depth=2, width=8)


def test_it_is_the_distance_of_class_means_times_n(tmp_path):
    context = toy_context(tmp_path, ipc=3)
    draft = toy_draft(context)
    synthetic, expected = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=3), []
    for index in context.classes:
        net = build(NET, shape_of(context), seeds.number(0, "mean features", 0, index, 3, "net"), context.device)
        real, made = context.stored(index).float() / 255, synthetic.pixels[synthetic.labels == index]
        expected.append(3 * (net.features(real).mean(0) - net.features(made).mean(0)).pow(2).sum())
    torch.testing.assert_close(MeanFeatures(Fresh(NET), augment=None).bind(context)(synthetic), torch.stack(expected))


def test_it_draws_a_new_network_at_every_step(tmp_path):
    context = toy_context(tmp_path)
    loss, draft = MeanFeatures(Fresh(NET)).bind(context), toy_draft(context)
    at = [loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=step)) for step in (0, 1, 0)]
    assert torch.equal(at[0], at[2]) and not torch.allclose(at[0], at[1])


def test_it_is_zero_on_the_real_pictures_themselves(tmp_path):
    context = toy_context(tmp_path, classes=(1,), ipc=12)
    draft = toy_draft(context)
    real = Synthetic(
        draft.prior, draft.latents, draft.ids, draft.labels, decode=lambda _: context.stored(1).float() / 255
    )
    assert MeanFeatures(Fresh(NET)).bind(context)(real).item() < 1e-8


def test_it_is_blind_to_all_but_the_mean():
    real, synthetic = torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.0], [0.0], [0.0]])
    assert MeanFeatures().distance(real, synthetic, ()) == 0
