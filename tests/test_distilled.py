"""A finished set as torch takes it: pixels and what is known of them, as they are or in one of their views."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from gendistill.distilled import Distilled
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.testing import toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER


@pytest.fixture
def of_views(tmp_path):
    context = toy_context(tmp_path)
    images = context.real.train
    soft = RelabelViews((TEACHER,), "logits", count=3, codec=Single())(images, context)
    return Distilled.of(images, soft)


def test_a_view_comes_with_its_labels(of_views):
    images, soft = of_views.images, of_views.soft
    seen = of_views.torch(view=2)
    everything = torch.arange(len(images))
    wanted = soft.views.look(images.pixels, everything, 2, len(images)).pixels
    pixels, log_probs = next(iter(DataLoader(seen, batch_size=36)))
    assert torch.equal(pixels, wanted) and torch.equal(log_probs, soft.at(everything, 2))
    torch.testing.assert_close(seen[17], (wanted[17], soft.at(torch.tensor([17]), 2)[0]))


def test_pictures_and_views_are_not_mistaken_for_each_other(of_views):
    with pytest.raises(UserError, match="view=distilled.soft.view"):
        of_views.torch()
    with pytest.raises(UserError, match="leave view out"):
        of_views.hard().torch(view=0)


def test_hard_labels_are_class_numbers(of_views):
    seen = of_views.hard().torch()
    pixels, label = seen[30]
    assert torch.equal(pixels, of_views.images.pixels([30])[0]) and int(label) == 2 and len(seen) == 36
