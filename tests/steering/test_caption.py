"""Captions of real pictures become prompts: which pictures, which caption, in which words, on a tiny Stable Diffusion."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from gendistill.anchors.modes import Modes
from gendistill.config.pipeline import find_pipeline
from gendistill.draft import Draft
from gendistill.nets.captioner import Captioner, LoadedCaptioner
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.caption import Caption, everywhere, shared_out, typical, words
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.toys import Toy, ToyData
from gendistill.types import CLEAN, LATENT, UserError
from tests.nets.tiny_captioners import tiny as tiny_captioner
from tests.priors.tiny_pipelines import tiny

REAL = ToyData(classes=2, per_class=6, channels=3)


def captioner(**more):
    return Captioner(LoadedCaptioner(*tiny_captioner("pair")), **{"max_new_tokens": 5, **more})


def recipe(step, prompts=None, **more):
    from gendistill.priors.text_to_image import TextToImage

    prior = TextToImage(tiny("stable_diffusion"), prompts=prompts or Prompts())
    steering = (Start(Modes()), step, Sample(steps=2, strength=0.5, cfg=2.0))
    return Recipe(real=REAL, prior=prior, steering=steering, ipc=2, block=2, **more)


def started(given, positions):
    """A draft that starts from real pictures of both classes, and its context."""
    context = open_context(given, torch.device("cpu"), torch.float32)
    context = context.of((0, 1))
    latents = torch.cat([context.latents(index)[positions] for index in (0, 1)])
    ids = torch.tensor([(index, slot, 0) for index in (0, 1) for slot in range(len(positions))])
    return Draft(context.prior, {LATENT: latents}, ids, ids[:, 0].clone(), torch.ones(len(ids)), CLEAN), context


def test_every_real_picture_belongs_to_the_nearest_start():
    real = torch.tensor([[0.0], [1.0], [4.0], [9.0], [5.5]])
    starts = torch.tensor([[0.6], [5.0], [100.0]])
    assert [rows.tolist() for rows in shared_out(real, starts, None)] == [[1, 0], [4, 2, 3], [3]]
    assert [rows.tolist() for rows in shared_out(real, starts, 1)] == [[1], [4], [3]]


def test_the_typical_caption_has_most_of_what_is_often_said():
    captions = ["a dog on a beach", "the dog runs along the beach", "a dog in snow", "a red ball"]
    dull = {"a", "on", "the", "in", "along"}
    # dog 3, beach 2, runs 1, snow 1, red 1, ball 1
    assert typical(captions, dull) == "the dog runs along the beach"
    assert typical(captions, dull | {"beach", "runs"}) == "a dog in snow"
    assert typical(captions[::-1], set(words(" ".join(captions)))) == "a red ball", "of equals the first"
    assert typical(["ball balls", "balls balls balls"], set()) == "ball balls", "a word counts once, and only whole"


def test_what_most_captions_say_tells_nothing_apart():
    assert everywhere(["a dog", "a cat", "a cow"]) == {"a"}
    assert everywhere(["a dog"] * 7 + ["a cat"] * 3) == {"a", "dog"}


def test_a_medoid_s_caption_is_the_prompt_of_its_slot():
    step = Caption(captioner(), template="{caption} of {name}")
    draft, context = started(recipe(step), [3, 0])
    made = step(draft, context)
    pictures = context.real.train.stored([3, 0, 9, 6])
    said = step.captioner.describe(step.captioner.load(torch.device("cpu")), pictures)
    assert len(set(said)) > 1
    assert made.prompts == tuple(f"{text} of class {row // 2}" for row, text in enumerate(said))
    assert torch.equal(made.conditions.values["text"], draft.prior.condition_on(made.prompts).values["text"])
    assert torch.equal(made.latents[LATENT], draft.latents[LATENT])


def test_a_plan_counts_captions_and_makes_none():
    for pictures, count in ((1, 4), (None, 12)):
        step = Caption(captioner(), pictures=pictures)
        draft, context = started(recipe(step), [3, 0])
        dry = replace(context, dry=True)
        assert step.imagined(draft, dry) is draft
        (work,) = [work for work in step.work(draft, dry) if work.what == "caption"]
        assert (work.calls, len(work.once())) == (count, 1)


def test_captions_are_made_once(monkeypatch):
    step = Caption(captioner(max_new_tokens=4), pictures=None)
    draft, context = started(recipe(step), [3, 0])
    first, seen = step(draft, context), []
    monkeypatch.setattr(Captioner, "describe", lambda *given: seen.append(given))
    assert step(draft, context.of((0, 1))).prompts == first.prompts and not seen


def test_a_caption_that_is_too_long_is_cut_and_that_is_said(caplog):
    step = Caption(captioner(max_new_tokens=6), template="{name}: " + "a" * 67 + " {caption}")
    draft, context = started(recipe(step), [0])
    with caplog.at_level(logging.WARNING):
        made = step(draft, context)
    assert "1 of 1 captions of class 0 are longer than the prior takes, and cut" in caplog.text
    whole = step.captioner.describe(step.captioner.load(torch.device("cpu")), context.real.train.stored([0]))[0]
    kept = made.prompts[0].partition("a ")[2]
    assert whole.startswith(kept) and whole != kept
    with pytest.raises(UserError, match="takes 77"):
        replace(step, template="{caption}" + "a" * 90)(draft, context)


def test_prompts_reach_the_set_whatever_was_interrupted(tmp_path):
    step = Caption(captioner(), pictures=None)
    made = distill(recipe(step), tmp_path / "set")
    assert made.prompts is not None and len(made.prompts) == 4
    assert [text.partition(",")[0] for text in made.prompts] == ["class 0", "class 0", "class 1", "class 1"]
    for file in (tmp_path / "set" / "shards" / "pictures").glob("*"):
        file.unlink()
    (tmp_path / "set" / "set.json").unlink()
    again = distill(recipe(step), tmp_path / "set")
    assert again.prompts == made.prompts
    assert torch.equal(again.images.stored(range(4)), made.images.stored(range(4)))


def test_the_captioner_is_loaded_once_for_all_classes(tmp_path, monkeypatch):
    loaded, load = [], Captioner.load
    monkeypatch.setattr(Captioner, "load", lambda self, *more, **how: loaded.append(1) or load(self, *more, **how))
    given = captioner(max_new_tokens=4)  # captions that no other test has left in the cache
    assert distill(recipe(Caption(given)), tmp_path / "set").prompts and len(loaded) == 1


def test_vlcp_runs_as_published():
    published = find_pipeline("vlcp").recipe
    (step,) = [step for step in published.steering if isinstance(step, Caption)]
    assert step.pictures is None and step.captioner.source == "llava-hf/llava-1.5-7b-hf"
    small = replace(step, captioner=captioner())
    start, _, sample = published.steering
    asked, last = recipe(small, published.prior.prompts), replace(sample, steps=4)
    made, without = (distill(replace(asked, steering=steps)) for steps in ((start, small, last), (start, last)))
    assert not torch.equal(made.images.stored(range(4)), without.images.stored(range(4)))
    assert without.prompts == ("class 0", "class 0", "class 1", "class 1") != made.prompts
    assert made.origin["settings"]["Negative prompt"] == "cartoon, anime, painting"


def test_it_needs_a_start_a_prior_that_takes_prompts_and_a_captioner():
    step = Caption(captioner())
    draft, context = started(recipe(step), [0])
    with pytest.raises(UserError, match="put Start"):
        step(replace(draft, latents={}), context)
    with pytest.raises(UserError, match="Caption needs a prior that takes prompts; Toy does not"):
        Recipe(real=REAL, prior=Toy(), steering=(Start(Modes()), step, Sample()))
    with pytest.raises(UserError, match="(?s)no image-to-text model at 'nobody/nothing'.*hf download"):
        Caption(Captioner("nobody/nothing")).check(REAL.open(), 1)
    for wrong in ({"template": "a {name}"}, {"template": "{captoin}"}, {"pictures": 0}):
        with pytest.raises(UserError):
            Caption(**wrong)
