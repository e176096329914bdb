"""A student examined in one pass, and put through stress."""

from __future__ import annotations

import pytest
import torch

from gendistill.config.overrides import read_value
from gendistill.evaluation.metrics import examine as module
from gendistill.evaluation.metrics.attacks import FGSM
from gendistill.evaluation.metrics.examine import examine, of_logits
from gendistill.evaluation.metrics.robustness import attack
from gendistill.evaluation.metrics.stress import Stress
from gendistill.learning.training import accuracy
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.logits import logits
from gendistill.toys import ToyData
from gendistill.types import UserError

IMAGES, CPU = ToyData().open().train, torch.device("cpu")
NET = build(ConvNet(depth=1, width=4), Shape(1, 8, 3, (0.5,), (0.5,)), 0, CPU).eval()
STRESS = Stress(attacks=(FGSM(8),), corruptions=("gaussian noise", "shot noise"), severities=(1, 5), most=12)


def test_everything_follows_from_one_pass(monkeypatch):
    found, passes = examine(NET, IMAGES), []
    monkeypatch.setattr(module, "logits", lambda *given: passes.append(given) or logits(*given))
    assert examine(NET, IMAGES) == found and len(passes) == 1
    assert found.accuracy == pytest.approx(accuracy(NET, IMAGES, CPU))
    assert found.per_class.mean == pytest.approx(found.accuracy), "the classes are of one size"
    assert sum(one.pictures for one in found.calibration.bins) == len(IMAGES)
    assert (found.adversarial, found.corrupted) == (None, None)
    assert of_logits(logits(NET, IMAGES), IMAGES.labels) == found


def test_stress_is_on_pictures_of_all_classes(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "attack", lambda net, some, *more: seen.append(some) or attack(net, some, *more))
    found = examine(NET, IMAGES, stress=STRESS)
    assert set(seen[0].labels.tolist()) == {0, 1, 2}
    assert found.adversarial is not None and found.corrupted is not None
    assert found.adversarial.pictures == found.corrupted.pictures == 12
    assert found.adversarial.clean == found.corrupted.clean
    assert len(found.corrupted.corruptions) == 2


def test_settings_of_stress_print_the_same_in_every_process():
    assert " at 0x" not in repr(Stress()) and hash(Stress()) == hash(Stress())
    assert read_value(repr(STRESS)) == STRESS, "a recipe that holds it can be run again"
    for wrong, says in (
        ({"most": 0}, "most=0"), ({"corruptions": ("blurr",)}, "did you mean 'blur'"), ({"severities": (6,)}, "some of 1 to 5"),
        ({"attacks": (), "corruptions": ()}, "is none"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=says):
            Stress(**wrong)
