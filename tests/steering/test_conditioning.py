"""Mixed conditions: the class alone below the window, the published mixture inside, no class above."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill import seeds
from gendistill.steering.conditioning import LabelMix
from gendistill.steering.sample import Sample
from gendistill.toys import toy_context, toy_draft
from gendistill.types import LATENT, Level, UserError


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, ipc=3)


def test_the_mixture_is_the_published_one(context):
    draft, mix = toy_draft(context), LabelMix(other=0.2, noise=0.0, window=(0.4, 0.6))

    def embed(labels):
        return draft.prior.embed(draft.prior.condition(labels))

    asked = embed(draft.labels)
    drawn = mix.draw(embed, draft.labels, 2, seeds.streams(draft.ids, 0))
    other = draft.prior.centres[1 - draft.labels]
    inside, above = (mix(asked, drawn, Level(0.5, 0.9, time)).values["class"] for time in (0.55, 0.8))
    torch.testing.assert_close(inside, 0.5 * draft.prior.centres[draft.labels] + 0.5 * 0.2 * other)
    torch.testing.assert_close(above, 0.2 * other)
    assert mix(asked, drawn, Level(0.5, 0.9, 0.4)) is asked


def test_pictures_of_a_class_are_asked_for_differently(context):
    step = Sample(steps=6, cfg=1.0, conditioning=LabelMix(other=0.0, noise=0.5, window=(0.0, 1.0)))
    draft = replace(toy_draft(context), latents={})
    mixed, plain = (s(draft, context).latents[LATENT] for s in (step, replace(step, conditioning=None)))
    assert not torch.allclose(mixed, plain)
    torch.testing.assert_close(mixed, step(draft, context).latents[LATENT])


def test_shares_and_windows_are_checked():
    with pytest.raises(UserError, match="window"):
        LabelMix(window=(0.9, 0.5))
