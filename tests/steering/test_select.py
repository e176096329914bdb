"""Selection keeps the best, per class or per slot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.objectives.base import Objective
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.steering.sample import candidates
from gendistill.steering.select import Select
from gendistill.testing import toy_context, toy_draft
from gendistill.types import LATENT, UserError


@dataclass(frozen=True)
class Brightness(Objective):
    """Dark pictures are wanted."""

    weight: float = 1.0

    def bind(self, context):
        return lambda synthetic: synthetic.clean.flatten(1).mean(1)


def oversampled(context, values):
    draft = candidates(toy_draft(context), 3)
    latents = torch.as_tensor(values).view(-1, 1, 1, 1).expand(-1, *draft.prior.latent_shape).clone()
    return replace(draft, latents={LATENT: latents})


def test_the_best_of_the_class_are_kept_best_first(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    kept = Select((Brightness(),))(oversampled(context, [5.0, 4, 3, 2, 1, 0]), context)
    assert kept.latents[LATENT][:, 0, 0, 0].tolist() == [0, 1]
    assert kept.ids.tolist() == [[0, 0, 5], [0, 1, 4]], "new slot, and the number of the candidate among all"


def test_per_slot_keeps_one_of_each(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    kept = Select((Brightness(),), per_slot=True)(oversampled(context, [5.0, 4, 3, 2, 1, 0]), context)
    assert kept.latents[LATENT][:, 0, 0, 0].tolist() == [3, 0]
    assert kept.ids.tolist() == [[0, 0, 2], [0, 1, 2]]


def test_too_few_candidates_are_an_error(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    with pytest.raises(UserError, match="oversample"):
        Select((Brightness(),))(toy_draft(context)[torch.tensor([0])], context)


def test_objectives_that_judge_classes_cannot_rank_pictures():
    with pytest.raises(UserError, match="MeanFeatures"):
        Select((MeanFeatures(),))
