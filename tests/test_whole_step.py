"""A training whose steps are recorded whole is the same training. What records is replaced where there is no GPU."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch import nn

from gendistill.labelers.cooling import Cooling
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning import training
from gendistill.learning.course import Criterion
from gendistill.learning.label_losses import CosineDistance
from gendistill.learning.schedules import StepDecay
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained, shape_of
from gendistill.toys import toy_context
from gendistill.views.numbered import Views

module = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "whole_step.py")))
TEACHERS = (Trained(ConvNet(depth=1, width=4), training.Training(epochs=1, batch=16)),)
STORED = RelabelViews(TEACHERS, "logits", temperature=8.0, count=4)
CASES = {
    "classes": ({}, None, False, "batch"),
    "mixed pictures": ({"augment": Views()}, None, True, "batch"),
    "soft labels, mixed": ({"augment": Views(), "ema": 0.5}, Relabel(TEACHERS, "logits", 4.0), True, "batch"),
    "labels of views": ({"loss": CosineDistance(), "mixed_precision": "bf16"}, STORED, False, "batch"),
    "bfloat16": ({"mixed_precision": "bf16"}, STORED, True, "batch"),
    # Of a bias before a norm the gradient is rounding alone, which Adam makes steps of.
    "AdamW": ({"optimizer": "AdamW", "decay_vectors": False, "label_smoothing": 0.1}, None, True, "none"),
}
"""What a training has beside its defaults, who labels, whether pictures are weighted, and the norm of its network."""


class Again:
    """Records a run as itself, with the learning rates that it read then. Where it ``waits``, a loss fails when that is strict."""

    def __init__(self, waits=False):
        self.waits, self.recorded, self.groups = waits, 0, []

    def rehearse(self, run, strict):
        if not (self.waits and strict):
            return run()
        with mock.patch.object(Criterion, "each", side_effect=RuntimeError("it waits")):
            return run()

    def record(self, run):
        self.recorded += 1
        read = [group["lr"] for group in self.groups]

        def replay():
            now = [group["lr"] for group in self.groups]
            for group, rate in zip(self.groups, read, strict=True):
                group["lr"] = rate
            run()
            for group, rate in zip(self.groups, now, strict=True):
                group["lr"] = rate

        return replay


def weights(context, changes, labeler, weighted, norm, drops=0.3):
    images = context.real.train
    # Rates are kept in single precision on the device: these are the same there.
    settings = training.Training(epochs=6, batch=7, lr=2**-7, schedule=StepDecay(by=0.5), **changes)
    net = build(ConvNet(depth=2, width=4, norm=norm), shape_of(context), 0, context.device)
    net.body.append(nn.Dropout(drops))
    training.train(
        net, images, settings, 3, context.device, soft=labeler and labeler(images, context),
        weight=torch.linspace(0.2, 1.5, len(images)) if weighted else None,
    )  # fmt: skip
    return net.state_dict()


def whole(monkeypatch, recorder):
    """Trainings take their steps so from now on, as on a GPU."""

    class OnAnyDevice(module.WholeStep):
        def __init__(self, net, optimizer, half, steps):
            super().__init__(net, optimizer, half, steps)
            self.recorder, recorder.groups = recorder, optimizer.param_groups

    monkeypatch.setattr(training, "Step", OnAnyDevice)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_weights_and_buffers_are_the_same(tmp_path, monkeypatch, case, waits):
    context, recorder = toy_context(tmp_path), Again(waits)
    wanted = weights(context, *CASES[case])
    whole(monkeypatch, recorder)
    found = weights(context, *CASES[case])
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert recorder.recorded == (0 if waits else 2)  # batches of 7 pictures, and what is left of an epoch


def test_every_temperature_is_recorded_once_up_to_a_number(tmp_path, monkeypatch):
    context, recorder = toy_context(tmp_path), Again()
    cooled = RelabelViews(TEACHERS, "logits", temperature=8.0, count=4, cooling=Cooling(every=1))
    wanted = weights(context, {}, cooled, False, "batch")
    whole(monkeypatch, recorder)
    found = weights(context, {}, cooled, False, "batch")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert 0 < recorder.recorded < module.MOST


def test_without_a_gpu_nothing_is_recorded(tmp_path):
    context = toy_context(tmp_path)
    wanted = weights(context, {}, None, False, "batch")
    with module.steps_recorded_whole():
        assert training.Step is module.WholeStep
        found = weights(context, {}, None, False, "batch")
    assert training.Step is not module.WholeStep
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("case", CASES)
def test_on_a_gpu_weights_come_out_alike(tmp_path, monkeypatch, case):
    context, taken = replace(toy_context(tmp_path), device=torch.device("cuda")), []
    monkeypatch.setattr(training, "WORTH_STEPS", 1)
    record = module.Recorder.record
    monkeypatch.setattr(module.Recorder, "record", lambda self, run: taken.append(run) or record(self, run))
    wanted = weights(context, *CASES[case], drops=0.0)
    assert not taken
    with module.steps_recorded_whole():
        found = weights(context, *CASES[case], drops=0.0)
    assert len(taken) == (0 if "loss" in CASES[case][0] else 2)  # that loss looks at its numbers
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-2, atol=1e-4)
