"""The one classifier loop: as many steps as it says, and every picture in every epoch."""

from __future__ import annotations

import pytest
import torch

from gendistill.images import Subset
from gendistill.learning import training as module
from gendistill.learning.training import Training, train
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.toys import toy_context


@pytest.mark.parametrize(
    ("count", "batch", "steps"), [(16, 8, 2), (17, 8, 2), (18, 8, 3), (9, 8, 1), (1, 8, 1), (3, 1, 3), (7, 8, 1)]
)
def test_a_picture_alone_joins_the_batch_before(count, batch, steps):
    settings, stream = Training(batch=batch), torch.Generator().manual_seed(0)
    batches = module._batches(count, settings, stream)
    assert len(batches) == settings.steps(count) == steps
    assert torch.cat(batches).sort().values.tolist() == list(range(count))
    assert count == 1 or batch == 1 or min(map(len, batches)) > 1


def test_the_rate_falls_over_the_steps_that_are_made(tmp_path, monkeypatch):
    context, asked = toy_context(tmp_path), []

    class Noted:
        def factor(self, part):
            asked.append(part)
            return 1.0

    settings = Training(epochs=3, batch=8, augment=None, least_steps=8)
    object.__setattr__(settings, "schedule", Noted())
    images = Subset(context.real.train, torch.arange(17))  # two batches and a picture
    net = build(ConvNet(depth=2, width=8, norm="batch"), shape_of(context), 0, context.device)
    train(net, images, settings, 0, context.device)
    assert settings.passes(17) == 4 and asked == [step / 8 for step in range(9)]
