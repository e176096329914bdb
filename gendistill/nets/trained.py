"""The one door for weights of classifiers: trained in place on the real pictures, or given as a module."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

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


@dataclass(frozen=True, eq=False, repr=False)
class Loaded:
    """A network that was loaded elsewhere: an ``nn.Module`` from pixels in [0, 1] to logits over the data's classes.

    Two are equal where their weights are. The text of one shows their fingerprint, but cannot make it again.

    net  the module; it is copied, and stays as it is
    saw  the pictures it was trained on, for the card; empty where that is not known
    """

    net: nn.Module
    saw: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights."""
        return fingerprint_state(self.net)

    def __repr__(self) -> str:
        return f"Loaded(<{type(self.net).__name__} {self.fingerprint}>{f', saw={self.saw!r}' if self.saw else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loaded) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


Reference: TypeAlias = "Trained | Loaded"


def as_references(given: Iterable[object]) -> tuple[Reference, ...]:
    """References as they are, and modules wrapped.

    Raises:
        UserError: something else is among them.
    """
    return tuple(_as_reference(one) for one in given)


def _as_reference(given: object) -> Reference:
    if isinstance(given, nn.Module):
        return Loaded(given)
    if isinstance(given, Trained | Loaded):
        return given
    raise UserError(f"{given!r} is no classifier: give Trained(...) or an nn.Module that takes pixels in [0, 1]")


def shape_of(context: Context) -> Shape:
    """The shape every classifier of these data has."""
    channels, height, _ = context.real.train.shape
    mean, std = context.statistics
    return Shape(channels, height, len(context.real.classes), mean, std)


def load(reference: Reference, context: Context) -> nn.Module:
    """A frozen classifier in eval mode on the context's device: pixels in [0, 1] in, logits over the data's classes out.

    Raises:
        UserError: the given module answers with another number of classes.
    """
    if isinstance(reference, Trained):
        return _trained(reference, context).eval().requires_grad_(False)
    net = deepcopy(reference.net).to(context.device).eval().requires_grad_(False)
    probe = torch.zeros(1, *context.real.train.shape, device=context.device)
    with torch.no_grad():
        found = tuple(net(probe).shape)
    if found != (1, len(context.real.classes)):
        raise UserError(
            f"the given {type(net).__name__} answers one picture with shape {found}; "
            f"logits over {len(context.real.classes)} classes were expected"
        )
    return net


def origin(reference: Reference, licence: str) -> dict[str, str]:
    """What a card says of this teacher; ``licence`` is that of the real pictures, which a network trained in place takes on."""
    if isinstance(reference, Loaded):
        return {"name": repr(reference), **({"saw": reference.saw} if reference.saw else {})}
    name = f"{reference.net}, {reference.training.epochs} epochs, seed {reference.seed}, trained here"
    return {"name": name, "licence": licence, "saw": "the training pictures"}


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
