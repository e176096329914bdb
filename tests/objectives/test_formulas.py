"""Each objective equals the equation of its paper, written literally."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gendistill.anchors.inverted import Inverted
from gendistill.anchors.modes import Modes
from gendistill.draft import Synthetic
from gendistill.nets.trained import load
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.mode_pull import ModePull
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError
from tests.parts_under_test import TEACHER


def look(context, draft):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels, step=3)


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


def test_mode_pull_has_clean_points_only():
    with pytest.raises(UserError, match="ModePull pulls clean latents, and the points of Inverted"):
        ModePull(Inverted())
