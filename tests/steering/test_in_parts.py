"""Objectives in parts: the gradient of the whole, and never more than a chunk of pictures at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gendistill.draft import Synthetic
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh, Warming
from gendistill.nets.trained import Trained
from gendistill.objectives.attention import Attention
from gendistill.objectives.base import Objective
from gendistill.objectives.batch_norm import BatchNorm
from gendistill.objectives.characteristic_function import CharacteristicFunction, FrequencySampler
from gendistill.objectives.class_covariance import ClassCovariance
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.determinant import Determinant
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.kernel_mmd import KernelMMD
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.objectives.picture_pull import PicturePull
from gendistill.steering import sample
from gendistill.steering.guide import Guide
from gendistill.steering.in_parts import Term, backward, losses_of
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.select import Select
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, UserError

NET = ConvNet(depth=2, width=8)
TEACHER = Trained(NET, Training(epochs=1, lr=0.01))
NORMALISED = Trained(replace(NET, norm="batch"), TEACHER.training)
EVERY = [
    CrossEntropy((TEACHER,), weight=2.0),
    ModePull(),
    PicturePull(Fixed((TEACHER,))),
    Determinant(weight=0.5),
    MeanFeatures(Fresh(NET), weight=3.0),
    MeanFeatures(Fixed((TEACHER, Trained(NET, TEACHER.training, seed=1)), all=True)),
    MeanFeatures(Fresh(NORMALISED.net)),
    Attention(Fresh(NET)),
    KernelMMD(Fresh(NET)),
    ClassCovariance(Fresh(NET)),
    LogitMatching(Fixed((TEACHER,))),
    CharacteristicFunction(Fresh(NET)),
    CharacteristicFunction(Fresh(NET), sampler=FrequencySampler(width=8)),
    GradientMatching(NET),
    GradientMatching(NET, outer=2, inner=1),
    BatchNorm((NORMALISED,)),
    BatchNorm((NORMALISED,), per_class=True),
]


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, ipc=5)


def named(objective: Objective) -> str:
    return f"{type(objective).__name__}-{EVERY.index(objective)}" if objective in EVERY else str(objective)


def found(objectives, context, chunk: int, draft=None) -> tuple[list[Tensor], Tensor]:
    """The values, and the gradient by the latents."""
    draft = draft or toy_draft(context)
    latent = draft.latents[LATENT].clone().requires_grad_()
    terms = [Term(one.weight, one.scope, one.bind(context)) for one in objectives]
    synthetic = Synthetic(draft.prior, {LATENT: latent}, draft.ids, draft.labels, step=2)
    values = backward(terms, synthetic, chunk)
    assert latent.grad is not None
    return values, latent.grad


@pytest.mark.parametrize("objective", EVERY, ids=named)
def test_parts_give_value_and_gradient_of_the_whole(objective, context):
    (whole, slope), (parts, pieces) = (found([objective], context, chunk) for chunk in (64, 4))
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pieces, slope, rtol=1e-3, atol=1e-5 * float(slope.abs().max()))
    assert bool((slope != 0).any())


def test_weights_and_kinds_add_up(context):
    objectives = [CrossEntropy((TEACHER,), weight=2.0), Determinant(weight=0.5), MeanFeatures(Fresh(NET), weight=3.0)]
    values, slope = found(objectives, context, 4)
    alone = [found([one], context, 4) for one in objectives]
    torch.testing.assert_close(values, [value for (value,), _ in alone])
    torch.testing.assert_close(slope, sum(one for _, one in alone))


def test_no_more_than_a_chunk_is_decoded_together_once_to_judge_and_once_for_the_gradient(context, monkeypatch):
    draft, sizes = toy_draft(context), []
    decode = type(draft.prior).decode
    monkeypatch.setattr(
        type(draft.prior),
        "decode",
        lambda self, latents: sizes.append(len(latents[LATENT])) or decode(self, latents),
    )
    count = len(draft)
    found([CrossEntropy((TEACHER,)), PicturePull(features=0.0)], context, 4, draft)
    assert max(sizes) == 4 and sum(sizes) == count, "what judges singly needs one pass, shared by all of them"
    sizes.clear()
    kinds = [CrossEntropy((TEACHER,)), MeanFeatures(Fresh(NET)), GradientMatching(NET), BatchNorm((NORMALISED,))]
    found(kinds, context, 4, draft)
    assert max(sizes) == 4 and sum(sizes) == 2 * count, "what judges together needs two"


def test_parts_keep_levels_conditions_and_the_noisy_latent(context):
    draft = toy_draft(context)
    count = len(draft)
    level = draft.prior.schedule.levels(torch.arange(1, count + 1))
    conditions = draft.prior.condition(draft.labels)
    x = torch.randn(count, *draft.prior.latent_shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole = Synthetic(
        draft.prior, draft.latents, draft.ids, draft.labels, x=x, level=level, conditions=conditions, step=7, made=draft
    )
    part = whole.part(slice(3, 5))
    assert len(part) == 2 and torch.equal(part.ids, draft.ids[3:5]) and torch.equal(part.labels, draft.labels[3:5])
    assert torch.equal(part.x, x[3:5]) and part.x.is_leaf and part.x.requires_grad and not part.clean.requires_grad
    assert torch.equal(torch.as_tensor(part.level.time), torch.as_tensor(level.time)[3:5])
    assert part.conditions is not None and all(len(rows) == 2 for rows in part.conditions.values.values())
    assert (part.step, part.made) == (7, draft)
    assert len(whole.leaves) == len(part.leaves) == 1


@pytest.mark.parametrize(
    "objective", [CrossEntropy((TEACHER,)), MeanFeatures(Fixed((TEACHER,))), Determinant()], ids=named
)
def test_scores_in_parts_are_those_of_the_whole(objective, context):
    draft, loss = toy_draft(context), objective.bind(context)
    synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)
    whole, parts = (losses_of([Term(1.0, objective.scope, loss)], synthetic, chunk) for chunk in (64, 4))
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", ["clean", "denoiser"])
@pytest.mark.parametrize(
    "objective", [CrossEntropy((TEACHER,), weight=0.3), MeanFeatures(Fresh(NET), weight=0.1)], ids=named
)
def test_guides_steer_in_parts_as_they_do_at_once(objective, gradient, context, monkeypatch):
    step = Sample(steps=3, guides=(Guide(objective, gradient=gradient, matched=True),))
    draft = replace(toy_draft(context), latents={})
    at_once = step(draft, replace(context, block=64)).latents[LATENT]
    plain = replace(step, guides=())(draft, context).latents[LATENT]
    monkeypatch.setattr(sample, "together", lambda shape: 4)
    in_parts = step(draft, replace(context, block=3)).latents[LATENT]
    torch.testing.assert_close(in_parts, at_once, rtol=1e-3, atol=1e-3)
    assert float((at_once - plain).abs().max()) > 0.1


@pytest.mark.parametrize("through", [None, Sample(steps=2, cfg=1.0, strength=0.5)])
def test_optimisation_in_parts_is_that_of_the_whole(through, context):
    objectives = (MeanFeatures(Fresh(NET)), CrossEntropy((TEACHER,)))
    moved = [
        Optimize(objectives, steps=2, optimizer="SGD", lr=0.1, chunk=chunk, through=through)(
            toy_draft(context), context
        )
        for chunk in (64, 4)
    ]
    torch.testing.assert_close(*(one.latents[LATENT] for one in moved), rtol=1e-3, atol=1e-4)
    assert not torch.equal(moved[0].latents[LATENT], toy_draft(context).latents[LATENT])


def test_several_objectives_that_select_share_a_decode(context, monkeypatch):
    draft, sizes = toy_draft(context), []
    decode = type(draft.prior).decode
    monkeypatch.setattr(
        type(draft.prior), "decode", lambda self, latents: sizes.append(len(latents[LATENT])) or decode(self, latents)
    )
    objectives = (CrossEntropy((TEACHER,)), PicturePull(features=0.0), MeanFeatures(Fixed((TEACHER,))))
    terms = [Term(1.0, one.scope, one.bind(context)) for one in objectives]
    with torch.no_grad():
        losses_of(terms, Synthetic(draft.prior, draft.latents, draft.ids, draft.labels), 4)
    assert max(sizes) == 4 and sum(sizes) == len(draft)


def test_selection_scores_in_parts(context, monkeypatch):
    from gendistill.steering import select

    draft = Sample(steps=2, oversample=2)(replace(toy_draft(context), latents={}), context)
    whole = Select((CrossEntropy((TEACHER,)),))(draft, context)
    monkeypatch.setattr(select, "together", lambda shape: 3)
    assert torch.equal(Select((CrossEntropy((TEACHER,)),))(draft, context).ids, whole.ids)


def test_what_no_loss_depends_on_keeps_its_gradient(context):
    draft = toy_draft(context)
    leaves = [draft.latents[LATENT].clone().requires_grad_(), torch.ones(len(draft), 3, requires_grad=True)]
    x = draft.latents[LATENT].clone().requires_grad_()
    synthetic = Synthetic(draft.prior, {LATENT: leaves[0], "other": leaves[1]}, draft.ids, draft.labels, x=x)
    for objective in (CrossEntropy((TEACHER,)), MeanFeatures(Fresh(NET))):
        backward([Term(1.0, objective.scope, objective.bind(context))], synthetic, 4)
    assert leaves[0].grad is not None and leaves[1].grad is None and x.grad is None


def test_gradients_add_to_what_is_there_and_reach_nothing_else(context):
    draft, net = toy_draft(context), NET
    latent = draft.latents[LATENT].clone().requires_grad_()
    latent.grad = torch.ones_like(latent)
    loss = GradientMatching(net).bind(context)
    synthetic = Synthetic(draft.prior, {LATENT: latent}, draft.ids, draft.labels, step=2)
    backward([Term(1.0, "class", loss)], synthetic, 4)
    torch.testing.assert_close(latent.grad - 1, found([GradientMatching(net)], context, 4)[1])
    assert all(one.grad is None for one in loss.network(synthetic).parameters())  # pyright: ignore


def test_a_guide_that_does_not_look_at_the_noisy_latent_is_refused_in_parts_too(context, monkeypatch):
    monkeypatch.setattr(sample, "together", lambda shape: 4)
    draft = replace(toy_draft(context), latents={})
    for objective in (CrossEntropy((TEACHER,)), MeanFeatures(Fresh(NET))):
        with pytest.raises(UserError, match="does not look at the noisy latent"):
            Sample(steps=2, guides=(Guide(objective, gradient="noisy"),))(draft, context)


def test_networks_that_go_on_learning_are_those_of_the_step(context):
    """Two losses share them: what one asked for in between changes nothing for the other."""
    objective = MeanFeatures(Warming((NET,), steps=2, batch=4))
    one, other = objective.bind(context), objective.bind(context)
    draft = toy_draft(context)

    def value(loss, step: int) -> float:
        latent = draft.latents[LATENT].clone().requires_grad_()
        synthetic = Synthetic(draft.prior, {LATENT: latent}, draft.ids, draft.labels, step=step)
        return float(backward([Term(1.0, "class", loss)], synthetic, 4)[0])

    first = value(one, 1)
    value(other, 3)
    assert value(one, 1) == first
