"""The one door for weights of classifiers: trained in place on the real pictures, or given as a module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gendistill import seeds
from gendistill.context import Context
from gendistill.nets.base import Classifier, Net, Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.store import fingerprint_state
from gendistill.training import Training, train, training_work
from gendistill.types import UserError
from gendistill.work import Work

Reference = Any
"""What names a classifier with weights: `Trained`, or an ``nn.Module`` from pixels in [0, 1] to logits."""


@dataclass(frozen=True)
class Trained:
    """A network trained on the real training pictures, once: it is kept in the store.

    net       the architecture
    training  how
    seed      of weights and order; members of an ensemble differ by it
    """

    net: Net = ConvNet()
    training: Training = Training(epochs=30, schedule="cosine")
    seed: int = 0


def shape_of(context: Context) -> Shape:
    """The shape every classifier of these data has."""
    channels, height, _ = context.real.train.shape
    mean, std = context.statistics
    return Shape(channels, height, len(context.real.classes), mean, std)


def load(reference: Reference, context: Context) -> nn.Module:
    """A frozen classifier in eval mode on the context's device: pixels in [0, 1] in, logits over the data's classes out.

    Raises:
        UserError: ``reference`` names no classifier, or one with another number of classes.
    """
    if isinstance(reference, Trained):
        net = _trained(reference, context)
    elif isinstance(reference, nn.Module):
        net = reference.to(context.device)
        probe = torch.zeros(1, *context.real.train.shape, device=context.device)
        with torch.no_grad():
            found = tuple(net.eval()(probe).shape)
        if found != (1, len(context.real.classes)):
            raise UserError(
                f"the given {type(net).__name__} answers one picture with shape {found}; "
                f"logits over {len(context.real.classes)} classes were expected"
            )
    else:
        raise UserError(
            f"{reference!r} is no classifier: give Trained(...) or an nn.Module that takes pixels in [0, 1]"
        )
    return net.eval().requires_grad_(False)


def describe(reference: Reference) -> str:
    """What to call this classifier in a report."""
    if isinstance(reference, nn.Module):
        return f"<{type(reference).__name__} {fingerprint_state(reference)}>"
    return f"{reference.net} trained on the real training pictures, {reference.training.epochs} epochs, seed {reference.seed}"


def work(reference: Reference, context: Context) -> Iterable[Work]:
    """What `load` will cost the first time: the training of a network that is trained in place."""
    if isinstance(reference, Trained):
        net = build(reference.net, shape_of(context), 0, context.device)
        for piece in training_work(net, context.real.train, reference.training, context.device):
            yield replace(piece, what="teacher", shared=True)


def _trained(reference: Trained, context: Context) -> Classifier:
    shape = shape_of(context)
    key = {"data": context.real.train.fingerprint, "net": repr(reference), "device": context.device.type}

    def make() -> dict[str, Tensor]:
        net = build(reference.net, shape, seeds.number(reference.seed, "teacher"), context.device)
        train(
            net,
            context.real.train,
            reference.training,
            seeds.number(reference.seed, "teacher", "order"),
            context.device,
            progress=context.progress,
            what=f"teacher {reference.net} {reference.seed}",
        )
        return net.state_dict()

    net = build(reference.net, shape, 0, context.device)
    if context.dry:
        return net
    net.load_state_dict(context.store.tensors("classifiers", key, make))
    return net
