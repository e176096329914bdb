"""Influence compares each picture's own gradient with its class's, at checkpoints that the rule picks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gendistill.draft import Synthetic
from gendistill.learning.training import Training
from gendistill.nets.trained import Loaded, checkpoint, load
from gendistill.objectives import influence
from gendistill.objectives.influence import Influence, gradients, keep_turns, mean_gradient
from gendistill.steering.optimize import Optimize
from gendistill.toys import toy_context, toy_draft
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

SURROGATE = replace(TEACHER, training=Training(epochs=3, batch=8, lr=0.1, augment=None))
OBJECTIVE = Influence(SURROGATE, threshold=0.9, pictures=5)


def gradient_of(net, pixels, label):
    """The gradient of the mean cross-entropy, by ordinary autograd."""
    weights = list(net.requires_grad_(True).parameters())
    found = torch.autograd.grad(F.cross_entropy(net(pixels), torch.full((len(pixels),), label)), weights)
    net.requires_grad_(False)
    return torch.cat([one.flatten() for one in found])


def test_it_is_one_minus_the_cosine_averaged_over_checkpoints(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    synthetic = Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)
    epochs, wanted = OBJECTIVE._find(0, context)
    assert epochs[0] == 0 and len(epochs) > 1, "a test of the average needs more than one checkpoint"
    for row in (0, 1):
        cosines = [
            F.cosine_similarity(
                gradient_of(checkpoint(SURROGATE, epoch, context), synthetic.pixels[row : row + 1], 0), g, dim=0
            )
            for epoch, g in zip(epochs, wanted, strict=True)
        ]
        found = OBJECTIVE.bind(context)(synthetic)[row]
        torch.testing.assert_close(found, sum(1 - cosine for cosine in cosines) / len(epochs))


def test_a_checkpoint_is_kept_when_its_gradient_has_turned_from_the_last_kept():
    angles = torch.tensor([0.0, 30.0, 50.0, 80.0, 100.0]).deg2rad()
    unit = torch.stack([angles.cos(), angles.sin()], 1)
    assert list(keep_turns(unit, 0.7)) == [0, 2, 4], "cos 50 and cos (100 - 50) are below 0.7; to the neighbour none is"
    assert list(keep_turns(unit, -0.9)) == [0]


def test_what_is_wanted_is_the_gradient_of_real_pictures_of_the_class(tmp_path):
    context = toy_context(tmp_path)
    epochs, wanted = Influence(SURROGATE, threshold=0.9, pictures=100)._find(1, context)
    real = context.stored(1).float() / 255
    for epoch, g in zip(epochs, wanted, strict=True):
        torch.testing.assert_close(g, gradient_of(checkpoint(SURROGATE, epoch, context), real, 1))


def test_gradients_in_blocks_are_those_of_the_whole(tmp_path, monkeypatch):
    context = toy_context(tmp_path)
    net, stored = load(TEACHER, context), context.stored(0)
    whole = mean_gradient(net, stored, 0, context.device)
    monkeypatch.setattr(influence, "together", lambda shape: 5)
    torch.testing.assert_close(mean_gradient(net, stored, 0, context.device), whole)
    each = gradients(net, stored.float() / 255, torch.zeros(len(stored), dtype=torch.long))
    torch.testing.assert_close(each.mean(0), whole)


def test_descending_it_turns_gradients_towards_the_class(tmp_path):
    context = toy_context(tmp_path)
    loss, draft = OBJECTIVE.bind(context), toy_draft(context)

    def value(draft):
        return loss(Synthetic(draft.prior, draft.latents, draft.ids, draft.labels))

    assert bool((value(Optimize((OBJECTIVE,), steps=8, lr=0.1)(draft, context)) < value(draft)).all())


def test_the_length_of_the_gradient_does_not_matter(tmp_path):
    """A surrogate whose head is twice as cautious at every picture judges direction alone: the loss stays in [0, 2]."""
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    far = {name: 100 * value for name, value in draft.latents.items()}
    found = OBJECTIVE.bind(context)(Synthetic(draft.prior, far, draft.ids, draft.labels))
    assert bool((found >= 0).all()) and bool((found <= 2).all())


def test_a_loaded_surrogate_has_no_training_to_follow(tmp_path):
    with pytest.raises((UserError, TypeError), match="surrogate"):
        Influence(Loaded(load(TEACHER, toy_context(tmp_path))))
    with pytest.raises(UserError, match="threshold"):
        Influence(SURROGATE, threshold=2.0)
