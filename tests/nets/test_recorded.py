"""Recorded passes are those of the network. They need a GPU: elsewhere nothing here runs."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from gendistill.images import StoredImages
from gendistill.learning import training
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.recorded import recorded
from gendistill.types import Class

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU"),
]
SHAPE = Shape(3, 16, 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3))


def net(norm="instance"):
    return build(ConvNet(depth=2, width=16, norm=norm), SHAPE, 0, torch.device("cuda")).train()


def batch(count=8):
    return torch.rand(count, 3, 16, 16, device="cuda")


def passes(ask, parameters, pixels):
    answer = ask(pixels)
    return [answer.detach().clone(), *torch.autograd.grad(answer.square().sum(), parameters)]


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_answers_and_gradients_are_the_networks_own(norm):
    one = net(norm)
    ask = recorded(one, batch())
    for pixels in (batch(), batch(), batch(3)):
        parameters = list(one.parameters())
        kept = [part.clone() for part in passes(ask, parameters, pixels)]
        for ours, theirs in zip(kept, passes(one, parameters, pixels), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_follows_weights_that_change_in_place():
    one = net()
    ask, pixels = recorded(one, batch()), batch()
    before = ask(pixels).clone()
    with torch.no_grad():
        for weight in one.parameters():
            weight.mul_(1.5)
    assert not torch.allclose(ask(pixels), before)
    torch.testing.assert_close(ask(pixels), one(pixels), rtol=1e-3, atol=1e-4)


def test_leaves_buffers_and_streams_as_they_were():
    one, sample = net("batch"), batch()
    one.body.append(nn.Dropout())
    before, here, there = [part.clone() for part in one.buffers()], torch.get_rng_state(), torch.cuda.get_rng_state()
    ask = recorded(one, sample)
    assert all(torch.equal(part, was) for part, was in zip(one.buffers(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), here) and torch.equal(torch.cuda.get_rng_state(), there)
    assert not torch.equal(ask(sample).clone(), ask(sample))  # every replay drops others


def test_is_freed_with_its_last_user():
    gc.disable()
    try:
        one = net()
        ask, gone = recorded(one, batch()), weakref.ref(one)
        ask(batch()).sum().backward()
        del ask, one
        assert gone() is None
    finally:
        gc.enable()


def test_answers_in_half_where_autocast_is_on():
    one = net()
    with torch.autocast("cuda", torch.bfloat16):
        ask = recorded(one, batch())
    assert ask(batch()).dtype == torch.bfloat16


def test_a_network_that_looks_at_its_numbers_comes_back():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(768, 5)

        def forward(self, pixels):
            answer = self.layer(pixels.flatten(1))
            return answer if float(answer.detach().sum()) > 0 else 2 * answer

    looks, other = Looks().cuda(), net()
    assert recorded(looks, batch()) is looks
    torch.cuda.empty_cache()  # nothing was left half recorded
    assert torch.isfinite(looks(batch())).all()
    assert recorded(other, batch()) is not other


def test_a_training_comes_out_the_same(monkeypatch):
    pictures = StoredImages(
        [Class(str(index)) for index in range(5)], torch.arange(20) % 5, (255 * batch(20).cpu()).to(torch.uint8)
    )

    def weights(steps):
        monkeypatch.setattr(training, "WORTH_STEPS", steps)
        one = training.train(net(), pictures, training.Training(epochs=5, batch=8), 0, torch.device("cuda"))
        return torch.cat([part.flatten() for part in one.parameters()])

    torch.testing.assert_close(weights(1), weights(10**9), rtol=1e-2, atol=1e-4)
