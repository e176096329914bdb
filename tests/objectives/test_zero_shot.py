"""The objective is the cross-entropy of a zero-shot classifier, offline with a tiny model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gendistill.draft import Synthetic
from gendistill.nets.zero_shot import LoadedCLIP
from gendistill.objectives.zero_shot import ZeroShot
from gendistill.steering.optimize import Optimize
from gendistill.toys import toy_context, toy_draft
from gendistill.types import Class, UserError
from tests.parts_under_test import tiny_clip


def look(draft):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)


def test_it_is_the_published_formula(tmp_path):
    import open_clip

    context, clip = toy_context(tmp_path), tiny_clip().eval()
    tokens = open_clip.SimpleTokenizer(context_length=16)([f"a photo of a class {k}." for k in range(3)])
    synthetic = look(toy_draft(context))
    resized = F.interpolate(synthetic.pixels.expand(-1, 3, -1, -1), (16, 16), mode="bicubic", antialias=True)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    with torch.no_grad():
        image, text = clip.encode_image((resized - mean) / std), clip.encode_text(tokens)
    cosine = F.cosine_similarity(image.unsqueeze(1), text.unsqueeze(0), dim=2)
    expected = -F.log_softmax(clip.logit_scale.exp().detach() * cosine, 1)[range(4), synthetic.labels]
    torch.testing.assert_close(ZeroShot(clip).bind(context)(synthetic), expected)


def test_descending_it_brings_pictures_to_their_prompt(tmp_path):
    context, objective = toy_context(tmp_path), ZeroShot(tiny_clip())
    draft, loss = toy_draft(context), objective.bind(context)
    moved = Optimize((objective,), steps=20, lr=0.05)(draft, context)
    assert bool((loss(look(moved)) < loss(look(draft))).all())


def test_it_knows_the_classes_by_their_names_alone(tmp_path):
    """Other objectives see the real pictures; this one sees a change of names and nothing else."""
    context = toy_context(tmp_path)
    renamed = toy_context(tmp_path / "renamed")
    renamed.real.train.classes = (Class("class 1"), Class("class 0"), Class("class 2"))
    draft = toy_draft(context)
    swapped = replace(draft, labels=1 - draft.labels)
    torch.testing.assert_close(
        ZeroShot(tiny_clip()).bind(context)(look(draft)), ZeroShot(tiny_clip()).bind(renamed)(look(swapped))
    )


def test_models_are_told_apart_by_their_weights():
    same, other = (
        ZeroShot(tiny_clip()),
        ZeroShot(LoadedCLIP(tiny_clip(), lambda texts: torch.zeros(len(texts), 16).long())),
    )
    assert same == ZeroShot(LoadedCLIP(tiny_clip())) and same != other
    assert repr(same).startswith("ZeroShot(model=LoadedCLIP(<CLIP ")


@pytest.mark.parametrize("wrong", [{"templates": ()}, {"templates": ("a photo",)}, {"model": 3}])
def test_what_cannot_work_is_refused_at_construction(wrong):
    with pytest.raises(UserError):
        ZeroShot(**wrong)
