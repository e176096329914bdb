"""Selection keeps the best, per class or per slot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.objectives.base import Objective
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.steering.drafts import candidates, joined
from gendistill.steering.select import Select
from gendistill.toys import toy_context, toy_draft
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


def test_what_was_said_goes_with_the_picture(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    draft = replace(toy_draft(context), prompts=("first", "second"))
    pool = joined([candidates(draft[torch.tensor([row])], 3) for row in (0, 1)])
    latents = torch.tensor([5.0, 4, 0, 2, 1, 3]).view(-1, 1, 1, 1).expand(-1, *pool.prior.latent_shape).clone()
    kept = Select((Brightness(),))(replace(pool, latents={LATENT: latents}), context)
    assert kept.ids.tolist() == [[0, 0, 2], [0, 1, 4]] and kept.prompts == ("first", "second")
    kept = Select((Brightness(),))(replace(pool, latents={LATENT: latents.flip(0)}), context)
    assert kept.ids.tolist() == [[0, 0, 3], [0, 1, 1]] and kept.prompts == ("second", "first")
    assert kept[torch.tensor([False, True])].prompts == ("first",) and kept[slice(0, 1)].prompts == ("second",)


def test_per_slot_keeps_one_of_each(tmp_path):
    context = toy_context(tmp_path, classes=(0,), ipc=2)
    kept = Select((Brightness(),), per_slot=True)(oversampled(context, [5.0, 4, 3, 2, 1, 0]), context)
    assert kept.latents[LATENT][:, 0, 0, 0].tolist() == [3, 0]
    assert kept.ids.tolist() == [[0, 0, 2], [0, 1, 5]]


def test_the_kept_take_over_the_slots_of_the_draft(tmp_path):
    """In a later round a unit holds the slots that are not made yet."""
    context = toy_context(tmp_path, classes=(0,), ipc=9)
    draft = oversampled(replace(context, ipc=2), [5.0, 4, 3, 2, 1, 0])
    later = replace(draft, ids=draft.ids + torch.tensor([0, 7, 0]))
    kept = Select((Brightness(),))(later, context)
    assert kept.latents[LATENT][:, 0, 0, 0].tolist() == [0, 1]
    assert kept.ids.tolist() == [[0, 7, 8 * 3 + 2], [0, 8, 8 * 3 + 1]]


def test_classes_are_judged_apart(tmp_path):
    context = toy_context(tmp_path, classes=(0, 2), ipc=1)
    kept = Select((Brightness(),))(oversampled(context, [5.0, 4, 3, 7, 6, 8]), context)
    assert kept.ids.tolist() == [[0, 0, 2], [2, 0, 1]] and kept.labels.tolist() == [0, 2]


def test_too_few_candidates_are_an_error(tmp_path):
    context = toy_context(tmp_path, ipc=2)
    with pytest.raises(UserError, match="class 1: raise oversample"):
        Select((Brightness(),))(toy_draft(context)[torch.tensor([0, 1, 2])], context)


def test_an_empty_draft_is_refused(tmp_path):
    context = toy_context(tmp_path)
    with pytest.raises(UserError, match="Sample"):
        Select((Brightness(),))(replace(toy_draft(context), latents={}), context)


def test_objectives_that_judge_classes_cannot_rank_pictures():
    with pytest.raises(UserError, match="MeanFeatures"):
        Select((MeanFeatures(),))
