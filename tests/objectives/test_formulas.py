"""Each objective equals the equation of its paper, written literally."""

from __future__ import annotations

import math

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


class Answers(torch.nn.Module):
    """The same logits for every picture."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, pixels):
        return self.logits.expand(len(pixels), -1)


def test_cross_entropy_of_two_teachers_in_numbers(tmp_path):
    """One says 1/4, 1/2, 1/4, the other a third each: (log 4 + log 3) / 2 for the first class, (log 2 + log 3) / 2 for the next."""
    context = toy_context(tmp_path)
    loss = CrossEntropy((Answers([0.0, math.log(2), 0.0]), Answers([1.0, 1.0, 1.0]))).bind(context)
    found = loss(look(context, toy_draft(context)))
    torch.testing.assert_close(found, torch.tensor([1.24245332, 1.24245332, 0.89587973, 0.89587973]))


def test_mode_pull_in_numbers(tmp_path, monkeypatch):
    """Three latents are 0 and two are 1, so slot 0 is pulled to 0 and slot 1 to 1: from 3, over 16 numbers, 72 and 32."""
    context = toy_context(tmp_path, classes=(0,))
    latents = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0]).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    monkeypatch.setattr(type(context), "latents", lambda self, index: latents)
    draft = toy_draft(context)
    clean = torch.full((2, 1, 4, 4), 3.0, requires_grad=True)
    found = ModePull().bind(context)(Synthetic(draft.prior, {LATENT: clean}, draft.ids, draft.labels))
    torch.testing.assert_close(found, torch.tensor([72.0, 32.0]))
    found.sum().backward()
    assert clean.grad is not None and clean.grad[:, 0, 0, 0].tolist() == [3.0, 2.0]


def test_mode_pull_has_clean_points_only():
    with pytest.raises(UserError, match="ModePull pulls clean latents, and the points of Inverted"):
        ModePull(Inverted())
