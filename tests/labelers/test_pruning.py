"""Labels are pruned at random (LPLD, Xiao & He, NeurIPS 2024) by labelling fewer views, since all views are drawn alike."""

from __future__ import annotations

import torch

from gendistill.labelers.relabel_views import RelabelViews
from gendistill.toys import toy_context
from tests.parts_under_test import TEACHER


def test_fewer_views_are_the_first_of_more_for_as_much_less(tmp_path):
    context = toy_context(tmp_path)
    images, everything = context.real.train, torch.arange(36)
    few, many = (RelabelViews((TEACHER,), "logits", count=count)(images, context) for count in (2, 6))
    assert few.bytes * 3 == many.bytes and few.views == many.views
    for view in range(2):
        assert torch.equal(few.at(everything, view), many.at(everything, view))
    assert [few.view(epoch, 6) for epoch in range(6)] == [0, 1] * 3
