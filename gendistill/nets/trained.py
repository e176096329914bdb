"""The one door for weights of classifiers: trained in place, on real pictures or those made so far, published, or given.

Every kind is a `Reference`; those of networks that are trained in place are here, each of the others has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from gendistill import seeds
from gendistill.config.parts import inside
from gendistill.context import Context
from gendistill.images import Subset, split
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training, train, training_work
from gendistill.nets.base import Classifier, Net, Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.loaded import Loaded
from gendistill.nets.reference import Reference
from gendistill.system.store import read_tensors, write_tensors
from gendistill.types import Class, Images, RealData, UserError
from gendistill.work import Work


@dataclass(frozen=True)
class Trained(Reference):
    """A network trained on the real training pictures, once: it is kept in the store.

    net       the architecture
    training  how
    seed      of weights and order; members of an ensemble differ by it
    held_out  share of the training pictures of each class that it never sees, so that it may be weighed and calibrated by them
    """

    net: Net = ConvNet()
    training: Training = Training(epochs=30, schedule=CosineDecay())
    seed: int = 0
    held_out: float = 0.0
    looks_at_real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise UserError(f"held_out={self.held_out} is a share of the training pictures: a number in [0, 1)")

    def load(self, context: Context) -> Classifier:
        """The network as it is after its training."""
        net = build(self.net, shape_of(context), 0, context.device)
        if not context.dry:
            key = _key(self, context)
            net.load_state_dict(context.store.tensors("classifiers", key, lambda: _train(self, context).state_dict()))
        return _frozen(net)

    def origin(self, licence: str) -> dict[str, str]:
        """How it was trained; its licence is that of the pictures."""
        name = f"{self.net}, {self.training.epochs} epochs, seed {self.seed}, trained here"
        return {"name": name, "licence": licence, "saw": "the training pictures"}

    def work(self, context: Context) -> Iterable[Work]:
        """Its training."""
        net = build(self.net, shape_of(context), 0, context.device)
        for piece in training_work(net, seen(self, context), self.training, context.device):
            yield replace(piece, what="teacher", shared=True, each="run")

    def unseen(self, context: Context) -> Images:
        """The pictures that were held out.

        Raises:
            UserError: none were.
        """
        if not self.held_out:
            raise UserError(
                f"{self.net} was trained on every training picture, so none is left to weigh or calibrate it by: give "
                "Trained(..., held_out=0.1)"
            )
        return split(context.real.train, self.held_out, 0, context.real.name)[1]


@dataclass(frozen=True)
class Student:
    """A network trained on the pictures that earlier rounds of the run made (``context.made``), once a round.

    It is no teacher: nothing of it may be kept from round to round.

    net       the architecture
    training  how
    seed      of weights and order
    """

    net: Net = ConvNet()
    training: Training = Training()
    seed: int = 0
    looks_at_real: ClassVar[bool] = True  # it is normalised by their mean and deviation

    def load(self, context: Context) -> Classifier:
        """The network as it is after its training on what was made.

        Raises:
            UserError: nothing was made yet.
        """
        net = build(self.net, shape_of(context), 0, context.device)
        if context.dry:
            return _frozen(net)
        if context.made is None:
            raise UserError(
                f"{self} learns from what earlier rounds made, and this is the first: give rounds=2 or more"
            )
        key = {**_key(self, context), "made": context.made.fingerprint}
        net.load_state_dict(context.store.tensors("students", key, lambda: _train(self, context).state_dict()))
        return _frozen(net)

    def work(self, context: Context) -> Iterable[Work]:
        """Its training. A plan has made nothing yet; it counts a full set."""
        images: Images | None = context.made
        if images is None:
            count = min(context.ipc * len(context.real.classes), len(context.real.train))
            images = Subset(context.real.train, torch.arange(count))
        net = build(self.net, shape_of(context), 0, context.device)
        for piece in training_work(net, images, self.training, context.device):
            yield replace(piece, what="student", each="run")


def as_references(given: Iterable[object]) -> tuple[Reference, ...]:
    """References as they are, and modules wrapped.

    Raises:
        UserError: something else is among them.
    """
    return tuple(_as_reference(one) for one in given)


def _as_reference(given: object) -> Reference:
    if isinstance(given, nn.Module):
        return Loaded(given)
    if isinstance(given, Reference):
        return given
    raise UserError(
        f"{given!r} is no classifier: give Trained(...), TimmClassifier(...), TransformersClassifier(...), Clip(...) or an "
        "nn.Module that takes pixels in [0, 1]"
    )


def load(reference: Reference | Student, context: Context) -> nn.Module:
    """A frozen classifier in eval mode on the context's device: pixels in [0, 1] in, logits over the data's classes out.

    Raises:
        UserError: it cannot be had, or answers for other classes or in another order, or a student has no pictures.
    """
    return reference.load(context)


def origin(reference: Reference, licence: str) -> dict[str, str]:
    """What a card says of this teacher; ``licence`` is that of the real pictures, which a network trained in place takes on."""
    return reference.origin(licence)


def check(reference: Reference, classes: Sequence[Class] = ()) -> None:
    """Raise `UserError` if a network of others cannot be had, or does not know the given classes. Loads no weights."""
    reference.check(classes)


def work(reference: Reference | Student, context: Context) -> Iterable[Work]:
    """What `load` will cost the first time: the training of a network that is trained in place."""
    return reference.work(context)


def check_nets(value: object, data: RealData) -> None:
    """Raise `UserError` where an architecture somewhere in these settings cannot take the pictures of the data. Trains nothing."""
    for net in inside(value):
        if isinstance(net, Net) and not isinstance(net, Reference):  # what is published is built by its weights
            channels = data.train.shape[0]
            try_build(net, shape_for(data, (0.5,) * channels, (0.25,) * channels))


@cache
def try_build(net: Net, shape: Shape) -> None:
    """Build a network once and let it go."""
    build(net, shape, 0, torch.device("cpu"))


def shape_of(context: Context) -> Shape:
    """The shape every classifier of these data has.

    Raises:
        UserError: the pictures are not square.
    """
    return shape_for(context.real, *context.statistics)


def shape_for(data: RealData, mean: tuple[float, ...], std: tuple[float, ...]) -> Shape:
    """`shape_of`, for data of this mean and deviation of each channel."""
    channels, height, width = data.train.shape
    if height != width:
        raise UserError(
            f"{data.name} holds pictures of {height} × {width} px, and classifiers look at square ones: give size="
        )
    return Shape(channels, height, len(data.classes), mean, std)


def checkpoint(reference: Trained, epoch: int, context: Context) -> Classifier:
    """The network as it was after ``epoch`` of its `passes`, frozen, in eval mode; 0 is before the first."""
    net = build(reference.net, shape_of(context), 0, context.device)
    if not context.dry:
        net.load_state_dict(read_tensors(_trajectory(reference, context) / _file(epoch)))
    return _frozen(net)


def initial(reference: Trained | Student, context: Context) -> Classifier:
    """The network as it was before its training: it follows from the seed, so it is not kept."""
    return build(reference.net, shape_of(context), seeds.number(reference.seed, _role(reference)), context.device)


def seen(reference: Trained, context: Context) -> Images:
    """The real pictures it is trained on: all, or those that are not held out."""
    if not reference.held_out:
        return context.real.train
    return split(context.real.train, reference.held_out, 0, context.real.name)[0]


def passes(reference: Trained, context: Context) -> int:
    """How many passes over the real pictures its training takes."""
    return reference.training.passes(len(seen(reference, context)))


def _frozen(net: Classifier) -> Classifier:
    return net.eval().requires_grad_(False)


def _trajectory(reference: Trained, context: Context) -> Path:
    """The folder of the weights before the first epoch of a training and after each."""

    def make(folder: Path) -> None:
        _train(reference, context, lambda epoch, net: write_tensors(folder / _file(epoch), net.state_dict()))

    return context.store.folder("trajectories", _key(reference, context), make)


def _file(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"


def _role(reference: Trained | Student) -> str:
    return "student" if isinstance(reference, Student) else "teacher"


def _key(reference: Trained | Student, context: Context) -> dict[str, object]:
    return {"data": context.real.train.fingerprint, "net": repr(reference), "device": context.device.type}


def _train(
    reference: Trained | Student, context: Context, keep: Callable[[int, Classifier], object] | None = None
) -> Classifier:
    """Train on the real pictures, or on those made so far; ``keep`` sees the network before and after every epoch."""
    role = _role(reference)
    images = context.made if isinstance(reference, Student) else seen(reference, context)
    assert images is not None
    net = initial(reference, context)
    if keep is not None:
        keep(0, net)
    return train(
        net,
        images,
        reference.training,
        seeds.number(reference.seed, role, "order"),
        context.device,
        progress=context.progress,
        what=f"{role} {reference.net} {reference.seed}",
        after_epoch=None if keep is None else lambda epoch: keep(epoch, net),
    )
