"""Every kind of reference says which real pictures its network did not see, or that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gendistill.labelers.expert_by_ipc import ExpertByIPC
from gendistill.nets.expert import Expert
from gendistill.nets.loaded import Loaded
from gendistill.nets.reference import Reference, tenth
from gendistill.nets.timm_classifier import TimmClassifier
from gendistill.nets.trained import Trained, seen
from gendistill.nets.transformers_classifier import TransformersClassifier
from gendistill.nets.zero_shot import Clip
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.nets.tiny_classifiers import timm_net
from tests.parts_under_test import TEACHER, subclasses

HELD = replace(TEACHER, held_out=0.25)
TRAINED_HERE = (Trained, Expert, ExpertByIPC)
OTHERS = {
    Loaded: lambda saw: Loaded(timm_net(), saw),
    TimmClassifier: lambda saw: TimmClassifier("test_resnet", saw=saw),
    TransformersClassifier: lambda saw: TransformersClassifier("owner/name", saw=saw),
}


@pytest.mark.parametrize("kind", subclasses(Reference), ids=lambda kind: kind.__name__)
def test_every_reference_says_what_is_unseen(kind, tmp_path):
    context = toy_context(tmp_path)
    if kind in TRAINED_HERE:
        of = (lambda trained: trained) if kind is Trained else lambda trained: kind(trained=trained)
        unseen, kept = of(HELD).unseen(context), seen(HELD, context)
        both = [{one.numpy().tobytes() for one in some.stored(range(len(some)))} for some in (unseen, kept)]
        assert both[0] and both[0].isdisjoint(both[1])
        with pytest.raises(UserError, match="held_out=0.1"):
            of(TEACHER).unseen(context)
    elif issubclass(kind, Clip):  # it was trained on no labelled picture of the data
        assert kind().unseen(context).fingerprint == tenth(context).fingerprint
    else:
        with pytest.raises(UserError, match="may have seen every training picture"):
            OTHERS[kind]("").unseen(context)
        assert OTHERS[kind]("photographs of others").unseen(context).fingerprint == tenth(context).fingerprint
