"""The margin equals its formula, and does not fade where teachers are sure."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gendistill.draft import Synthetic
from gendistill.nets.trained import load
from gendistill.objectives.margin import Margin, margin
from gendistill.toys import toy_context, toy_draft
from tests.parts_under_test import TEACHER


def test_it_is_the_label_less_the_best_other():
    logits = torch.tensor([[1.0, 4.0, 2.5], [1.0, 4.0, 2.5], [3.0, 3.0, -9.0]])
    assert margin(logits, torch.tensor([1, 0, 0])).tolist() == [1.5, -3.0, 0.0]


def test_the_loss_is_minus_the_mean_over_teachers(tmp_path):
    context = toy_context(tmp_path)
    other = TEACHER.__class__(net=TEACHER.net, training=TEACHER.training, seed=1)
    draft = toy_draft(context)
    synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)
    expected = torch.zeros(len(draft))
    for teacher in (TEACHER, other):
        for row, z in enumerate(load(teacher, context)(synthetic.pixels)):
            label = int(draft.labels[row])
            expected[row] -= (z[label] - max(z[i] for i in range(3) if i != label)) / 2
    torch.testing.assert_close(Margin((TEACHER, other)).bind(context)(synthetic), expected)


def test_it_pulls_as_hard_where_the_teacher_is_sure():
    sure = torch.tensor([[30.0, 0.0, 0.0]], requires_grad=True)
    (pull,) = torch.autograd.grad(margin(sure, torch.tensor([0])).sum(), sure)
    (faded,) = torch.autograd.grad(F.cross_entropy(sure, torch.tensor([0])), sure)
    assert pull[0, 0] == 1 and faded.abs().max() < 1e-9
