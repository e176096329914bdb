"""The gradient through a student's training: analytic for one step of a linear one, and of the whole graph for others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.func import functional_call

from gendistill import seeds
from gendistill.labelers.learned import real_batches
from gendistill.labelers.unrolled_labels import UnrolledLabels, fresh, unroll
from gendistill.learning.losses import divergence
from gendistill.nets.base import build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import shape_of
from gendistill.priors.training.loop import order
from gendistill.toys import toy_context

NET = ConvNet(depth=2, width=8)


def test_one_step_of_a_linear_student_by_hand():
    # A student that knows nothing says 1/2 of both classes. Picture 1 = (1, 0) is labelled (3/4, 1/4), picture 2 = (0, 1) the
    # other way round: a step of 8 moves w by 8/2 sum (p - 1/2) x' to [[1, -1], [-1, 1]]. A real picture (1, 0) of class 0 then has
    # the logits (1, -1), so q = sigmoid(2), and the gradient by p of picture 1 is 8/2 (q - 1) (1, -1), by p of picture 2 it is 0.
    pictures, real = torch.eye(2), torch.tensor([[1.0, 0.0]])
    log_probs = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    value, slope, weights = unroll(
        {"w": torch.zeros(2, 2)},
        log_probs,
        [lambda weights, labels: divergence(pictures @ weights["w"].T, labels).mean()],
        8.0,
        lambda weights: F.cross_entropy(real @ weights["w"].T, torch.tensor([0])),
    )
    torch.testing.assert_close(weights["w"], torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    q = torch.tensor(2.0).sigmoid()
    torch.testing.assert_close(value, -q.log())
    along = 4 * (q - 1) * torch.tensor([1.0, -1.0])
    p = log_probs[0].exp()
    wanted = torch.stack([p * (along - (p * along).sum()), torch.zeros(2)])  # by log p, through their softmax
    torch.testing.assert_close(slope, wanted)


def test_the_gradient_is_that_of_the_whole_graph(tmp_path):
    context = toy_context(tmp_path)
    images, settings = context.real.train, UnrolledLabels(net=NET, inner=4, outer=2, net_lr=0.2, batch=12, augment=None)
    logits = torch.randn(len(images), 3, generator=seeds.stream("logits"))
    mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
    judge = settings.bind(images, context)
    judge(mine.log_softmax(1).detach(), 0)
    value = judge(mine.log_softmax(1), 1)
    value.backward()

    key = (context.seed, "unrolled labels", context.place)
    net, take = build(NET, shape_of(context), 0, context.device), order(len(images), seeds.number(*key, "order"))
    weights = fresh(NET, seeds.number(*key, 0, "net"), context)
    for step in (0, 1):  # the student of the second step is where the first left it
        weights = {name: one.detach().requires_grad_() for name, one in weights.items()}
        for place in range(4):
            part = take((4 * step + place) * 12, 12)
            log_q = functional_call(net, weights, (images.pixels(part),)).log_softmax(1)
            loss = -(theirs.softmax(1)[part] * log_q).sum(1).mean()
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {name: one - 0.2 * slope for (name, one), slope in zip(weights.items(), slopes, strict=True)}
    pixels, labels = real_batches(12, context)(1)
    whole = F.cross_entropy(functional_call(net, weights, (pixels,)), labels)
    whole.backward()
    torch.testing.assert_close(value, whole)
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-3)


def test_another_student_begins_after_its_time(tmp_path):
    context = toy_context(tmp_path)
    settings = UnrolledLabels(net=NET, inner=2, outer=3, net_lr=0.2, batch=12)
    log_probs = torch.zeros(36, 3).log_softmax(1)
    first, second = settings.bind(context.real.train, context), settings.bind(context.real.train, context)
    for step in range(3):
        first(log_probs, step)
    torch.testing.assert_close(first(log_probs, 3), second(log_probs, 3), rtol=0, atol=0)
    assert first(log_probs, 4) != settings.bind(context.real.train, context)(log_probs, 0)
