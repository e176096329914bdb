"""The sign of learnability, settled by numbers: descending it makes pictures the student does not know and the reference does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

from gendistill.draft import Synthetic
from gendistill.images import Subset
from gendistill.learning.training import Training
from gendistill.nets.trained import Student, load
from gendistill.objectives.base import Objective
from gendistill.objectives.learnability import Learnability
from gendistill.steering.guide import Guide
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

REFERENCE = replace(TEACHER, training=Training(epochs=40, batch=8, lr=0.05, augment=None))
STUDENT = Student(TEACHER.net, Training(epochs=40, batch=8, lr=0.05, augment=None), seed=1)
OBJECTIVE = Learnability(STUDENT, REFERENCE)


@pytest.fixture
def context(tmp_path):
    """Earlier rounds made one picture of each class."""
    context = toy_context(tmp_path)
    return replace(context, made=Subset(context.real.train, torch.tensor([0, 12, 24])))


def losses(draft, context):
    """Cross-entropy of the student and of the reference, per picture."""
    pixels = draft.prior.decode(draft.latents)
    return [F.cross_entropy(load(net, context)(pixels), draft.labels, reduction="none") for net in (STUDENT, REFERENCE)]


def look(draft):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)


def test_it_is_the_negative_of_the_published_score(context):
    draft = toy_draft(context)
    student, reference = losses(draft, context)
    torch.testing.assert_close(OBJECTIVE.bind(context)(look(draft)), -(student - 0.5 * reference))


def test_descending_it_makes_what_only_the_reference_knows(context):
    draft = Sample(steps=10)(replace(toy_draft(context), latents={}), context)
    (student, reference), (after, still) = (
        losses(one, context) for one in (draft, Optimize((OBJECTIVE,), steps=20, lr=0.01)(draft, context))
    )
    assert bool((after > student + 0.3).all()), "the student must know them less"
    assert reference.max() < 0.01 and still.max() < 0.05, "the reference must know them still"


@dataclass(frozen=True)
class Printed(Objective):
    """The update as printed: the score's gradient is added to the noise, so the clean estimate moves against it."""

    weight: float = 1.0

    def bind(self, context):
        loss = OBJECTIVE.bind(context)
        return lambda synthetic: -loss(synthetic)


def test_guidance_by_it_raises_the_score_and_the_published_sign_lowers_it(context):
    sums = []
    for objective in (Printed(0.1), None, replace(OBJECTIVE, weight=0.1)):
        guides = () if objective is None else (Guide(objective, window=(0.1, 0.9)),)
        draft = Sample(steps=10, cfg=1.0, guides=guides)(replace(toy_draft(context), latents={}), context)
        student, reference = losses(draft, context)
        sums.append(float((student - 0.5 * reference).sum()))
    assert sums[0] < sums[1] < sums[2]


def test_the_first_round_is_steered_by_other_objectives(context):
    first, draft = replace(context, made=None), toy_draft(context)
    loss = OBJECTIVE.bind(first)
    value = next(iter(draft.latents.values())).clone().requires_grad_()
    found = loss(Synthetic(draft.prior, {"latent": value}, draft.ids, draft.labels))
    (gradient,) = torch.autograd.grad(found.sum(), value)
    assert found.tolist() == [0.0] * 4 and not gradient.any()
    assert not (context.store.root / "students").exists(), "a student was trained on nothing"


def test_a_student_follows_what_was_made(context):
    other = replace(context, made=Subset(context.real.train, torch.tensor([1, 13, 25])))
    draft = toy_draft(context)
    one, same, another = (
        OBJECTIVE.bind(where.of((0, 1)))(look(draft)) for where in (context, context, replace(other, _memory={}))
    )
    assert torch.equal(one, same) and not torch.allclose(one, another)
    with pytest.raises(UserError, match="rounds=2"):
        load(STUDENT, replace(context, made=None))
