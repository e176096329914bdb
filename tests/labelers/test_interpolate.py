"""Labels of mixed pictures are the mean of their logits, and only those of single ones are kept."""

from __future__ import annotations

import pytest
import torch

from gendistill.labelers import stored
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.interpolate import Interpolate
from gendistill.nets import trained
from gendistill.toys import toy_context
from gendistill.types import UserError
from gendistill.views.cutmix import CutMix
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER


@pytest.mark.parametrize("views", [Interpolate((TEACHER,), "logits").views, Views((), CutMix(), seed=9)], ids=repr)
def test_logits_are_mixed_as_the_pictures_are(views, tmp_path):
    context = toy_context(tmp_path)
    images, positions = context.real.train, torch.tensor([0, 20, 35])
    soft = Interpolate((TEACHER,), "logits", views=views)(images, context)
    look = views.look(images.pixels, positions, 5, len(images))
    z, share = trained.load(TEACHER, context)(images.pixels(range(len(images)))), look.share.unsqueeze(1)
    torch.testing.assert_close(
        soft.at(positions, 5), (share * z[positions] + (1 - share) * z[look.partners]).log_softmax(1)
    )


def test_one_label_a_picture_is_kept(tmp_path):
    context = toy_context(tmp_path)
    images = context.real.train
    soft = Interpolate((TEACHER,), "logits", codec=EightBit(), temperature=30.0)(images, context)
    assert soft.kind == "soft" and soft.bytes == len(images) * (3 + 2)
    again = stored.read(tmp_path / "set", soft.save(tmp_path / "set"), images)
    positions = torch.tensor([4, 1])
    torch.testing.assert_close(again.at(positions, 7), soft.at(positions, 7))
    assert again.views == soft.views and again.temperature == 30.0 and again.fingerprint == soft.fingerprint


def test_labels_of_another_set_are_refused(tmp_path):
    from gendistill.images import Subset

    context = toy_context(tmp_path)
    images = context.real.train
    told = Interpolate((TEACHER,), "logits", codec=Half())(images, context).save(tmp_path / "set")
    with pytest.raises(UserError, match="another set"):
        stored.read(tmp_path / "set", told, Subset(images, torch.arange(5)))


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(UserError, match="a mix"):
        Interpolate((TEACHER,), "logits", views=Views(mix=None))
    with pytest.raises(UserError, match="spread=True"):
        Interpolate((TEACHER,), "logits", codec=TopK(2))
