"""Labels that are made together are those that each labeler makes alone, and the teachers are asked once for each view."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.labelers.together import label_together
from gendistill.toys import toy_context
from gendistill.types import UserError
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

ONE = RelabelViews((TEACHER,), "logits", count=2, codec=Half())
WAYS = [ONE, replace(ONE, count=5, codec=EightBit()), replace(ONE, count=3, codec=EightBit())]


def test_together_they_are_what_each_is_alone(tmp_path, asked):
    together, alone = toy_context(tmp_path / "together"), toy_context(tmp_path / "alone")
    images, (views, _) = together.real.train, asked
    wanted = [one(images, alone) for one in WAYS]
    views.clear()
    label_together(WAYS, images, together)
    assert views == [0, 1, 2, 3, 4]
    for one, known in zip(WAYS, wanted, strict=True):
        found = one(images, together)
        assert (found.bytes, found.fingerprint) == (known.bytes, known.fingerprint)
    label_together(WAYS[::-1], images, together)
    assert views == [0, 1, 2, 3, 4], "nothing is asked again"


def test_views_are_made_at_once_for_all_ways(tmp_path, made):
    context = toy_context(tmp_path)
    label_together(WAYS, context.real.train, context)
    assert made == [5]


def test_what_is_there_is_not_asked_for(tmp_path, asked):
    context, (views, _) = toy_context(tmp_path), asked
    WAYS[1](context.real.train, context)
    views.clear()
    label_together(WAYS, context.real.train, context)
    assert views == [0, 1, 2]


def test_killed_it_goes_on(tmp_path, asked):
    context, (views, kill) = toy_context(tmp_path), asked
    kill.append(2)
    with pytest.raises(KeyboardInterrupt):
        label_together(WAYS, context.real.train, context)
    label_together(WAYS, context.real.train, context)
    assert views == [0, 1, 2, 3, 4]
    positions = torch.arange(4)
    found = WAYS[1](context.real.train, context).at(positions, 4)
    other = toy_context(tmp_path / "other")
    torch.testing.assert_close(found, WAYS[1](other.real.train, other).at(positions, 4))


def test_of_two_that_keep_the_same_one_makes_it(tmp_path, asked):
    context, (views, _) = toy_context(tmp_path), asked
    label_together([ONE, replace(ONE, temperature=4.0), ONE], context.real.train, context)
    assert views == [0, 1]


def test_other_questions_are_refused(tmp_path):
    with pytest.raises(UserError, match="codec and count alone"):
        label_together(
            [ONE, replace(ONE, views=Views((), seed=1))], toy_context(tmp_path).real.train, toy_context(tmp_path)
        )
