"""Each objective equals the equation of its paper, written literally."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gendistill import seeds
from gendistill.anchors.modes import Modes
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import load, shape_of
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.testing import toy_context, toy_draft
from gendistill.types import LATENT, Synthetic
from tests.parts_under_test import TEACHER


def look(context, draft):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=3)


def test_mean_features_is_the_distance_of_class_means_times_n(tmp_path):
    context = toy_context(tmp_path, ipc=3)
    objective, synthetic = MeanFeatures(net=ConvNet(depth=2, width=8), augment=None), look(context, toy_draft(context))
    expected = []
    for index in context.classes:
        net = build(
            objective.net, shape_of(context), seeds.number(0, "mean features", 0, index, 3, "net"), context.device
        )
        real, made = context.stored(index).float() / 255, synthetic.pixels[synthetic.labels == index]
        expected.append(3 * (net.features(real).mean(0) - net.features(made).mean(0)).pow(2).sum())
    torch.testing.assert_close(objective.bind(context)(synthetic), torch.stack(expected))


def test_mean_features_draws_a_new_network_at_every_step(tmp_path):
    context = toy_context(tmp_path)
    loss, draft = MeanFeatures(net=ConvNet(depth=2, width=8)).bind(context), toy_draft(context)
    at = [loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=step)) for step in (0, 1, 0)]
    assert torch.equal(at[0], at[2]) and not torch.allclose(at[0], at[1])


def test_mean_features_is_zero_on_the_real_pictures_themselves(tmp_path):
    context = toy_context(tmp_path, classes=(1,), ipc=12)
    draft = toy_draft(context)
    real = Synthetic(
        draft.prior, draft.latents, draft.ids, draft.labels, decode=lambda _: context.stored(1).float() / 255
    )
    assert MeanFeatures(net=ConvNet(depth=2, width=8)).bind(context)(real).item() < 1e-8


def test_cross_entropy_is_the_mean_over_teachers(tmp_path):
    context = toy_context(tmp_path)
    other = TEACHER.__class__(net=TEACHER.net, training=TEACHER.training, seed=1)
    synthetic = look(context, toy_draft(context))
    logits = [load(teacher, context)(synthetic.pixels) for teacher in (TEACHER, other)]
    expected = sum(-F.log_softmax(z, 1)[torch.arange(len(z)), synthetic.labels] for z in logits) / 2
    torch.testing.assert_close(CrossEntropy((TEACHER, other)).bind(context)(synthetic), expected)


def test_the_gradient_of_mode_pull_is_clean_minus_mode(tmp_path):
    context = toy_context(tmp_path)
    draft, objective = toy_draft(context), ModePull()
    clean = draft.latents[LATENT].clone().requires_grad_()
    objective.bind(context)(Synthetic(draft.prior, {LATENT: clean}, draft.ids, draft.labels)).sum().backward()
    modes = torch.cat([Modes().find(context, index, torch.arange(2)) for index in context.classes])
    torch.testing.assert_close(clean.grad, clean.detach() - modes)
