"""The one door for weights of classifiers: trained in place, on real pictures or those made so far, zero-shot, or given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, TypeAlias

import torch
from torch import nn

from gendistill import seeds
from gendistill.context import Context
from gendistill.images import Subset
from gendistill.nets.base import Classifier, Net, Shape, build
from gendistill.nets.class_order import check_order
from gendistill.nets.convnet import ConvNet
from gendistill.nets.zero_shot import Clip
from gendistill.store import fingerprint_state, read_tensors, write_tensors
from gendistill.training import Training, train, training_work
from gendistill.types import Images, UserError
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
    looks_at_real: ClassVar[bool] = True


@dataclass(frozen=True)
class Student:
    """A network trained on the pictures that earlier rounds of the run made (``context.made``), once a round.

    net       the architecture
    training  how
    seed      of weights and order
    """

    net: Net = ConvNet()
    training: Training = Training()
    seed: int = 0
    looks_at_real: ClassVar[bool] = True  # it is normalised by their mean and deviation


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

    @cached_property
    def checked(self) -> set[str]:
        """Fingerprints of the pictures whose class order it was found to share, by this process.

        Not kept in the store: a module may reorder its outputs by code, which the fingerprint of its weights does not see.
        """
        return set()

    def __repr__(self) -> str:
        return f"Loaded(<{type(self.net).__name__} {self.fingerprint}>{f', saw={self.saw!r}' if self.saw else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loaded) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


Reference: TypeAlias = "Trained | Loaded | Clip"


def as_references(given: Iterable[object]) -> tuple[Reference, ...]:
    """References as they are, and modules wrapped.

    Raises:
        UserError: something else is among them.
    """
    return tuple(_as_reference(one) for one in given)


def _as_reference(given: object) -> Reference:
    if isinstance(given, nn.Module):
        return Loaded(given)
    if isinstance(given, Trained | Loaded | Clip):
        return given
    raise UserError(
        f"{given!r} is no classifier: give Trained(...), Clip(...) or an nn.Module that takes pixels in [0, 1]"
    )


def shape_of(context: Context) -> Shape:
    """The shape every classifier of these data has."""
    channels, height, _ = context.real.train.shape
    mean, std = context.statistics
    return Shape(channels, height, len(context.real.classes), mean, std)


def load(reference: Reference | Student, context: Context) -> nn.Module:
    """A frozen classifier in eval mode on the context's device: pixels in [0, 1] in, logits over the data's classes out.

    Raises:
        UserError: the given module answers with another number of classes or in another order, or a student has no pictures.
    """
    if isinstance(reference, Trained):
        return _frozen(_trained(reference, context))
    if isinstance(reference, Student):
        return _frozen(_student(reference, context))
    if isinstance(reference, Clip):
        return reference.classifier(context.real.classes, context.device, weights=not context.dry)
    net = deepcopy(reference.net).to(context.device).eval().requires_grad_(False)
    probe = torch.zeros(1, *context.real.train.shape, device=context.device)
    with torch.no_grad():
        found = tuple(net(probe).shape)
    if found != (1, len(context.real.classes)):
        raise UserError(
            f"the given {type(net).__name__} answers one picture with shape {found}; "
            f"logits over {len(context.real.classes)} classes were expected"
        )
    real = context.real.train
    if not context.dry and len(real) and real.fingerprint not in reference.checked:
        check_order(net, real, context.device)
        reference.checked.add(real.fingerprint)
    return net


def checkpoint(reference: Trained, epoch: int, context: Context) -> Classifier:
    """The network as it was after ``epoch`` of its `passes`, frozen, in eval mode; 0 is before the first."""
    net = build(reference.net, shape_of(context), 0, context.device)
    if not context.dry:
        net.load_state_dict(read_tensors(_trajectory(reference, context) / _file(epoch)))
    return _frozen(net)


def initial(reference: Trained | Student, context: Context) -> Classifier:
    """The network as it was before its training: it follows from the seed, so it is not kept."""
    return build(reference.net, shape_of(context), seeds.number(reference.seed, _role(reference)), context.device)


def passes(reference: Trained, context: Context) -> int:
    """How many passes over the real pictures its training takes."""
    return reference.training.passes(len(context.real.train))


def origin(reference: Reference, licence: str) -> dict[str, str]:
    """What a card says of this teacher; ``licence`` is that of the real pictures, which a network trained in place takes on."""
    if isinstance(reference, Loaded):
        return {"name": repr(reference), **({"saw": reference.saw} if reference.saw else {})}
    if isinstance(reference, Clip):
        return {"name": f"{reference.name}, zero-shot"}
    name = f"{reference.net}, {reference.training.epochs} epochs, seed {reference.seed}, trained here"
    return {"name": name, "licence": licence, "saw": "the training pictures"}


def check(reference: Reference) -> None:
    """Raise `UserError` if a network of others is not here and cannot be fetched. Loads no weights."""
    if isinstance(reference, Clip):
        reference.check()


def work(reference: Reference | Student, context: Context) -> Iterable[Work]:
    """What `load` will cost the first time: the training of a network that is trained in place."""
    if isinstance(reference, Loaded | Clip):
        return
    images: Images = context.real.train
    if isinstance(reference, Student):
        # A plan has made nothing yet; it counts a full set.
        count = min(context.ipc * len(context.real.classes), len(images))
        images = Subset(images, torch.arange(count)) if context.made is None else context.made
    net = build(reference.net, shape_of(context), 0, context.device)
    for piece in training_work(net, images, reference.training, context.device):
        yield (
            replace(piece, what="teacher", shared=True, each="run")
            if isinstance(reference, Trained)
            else replace(piece, what="student", each="run")
        )


def _frozen(net: Classifier) -> Classifier:
    return net.eval().requires_grad_(False)


def _trained(reference: Trained, context: Context) -> Classifier:
    net = build(reference.net, shape_of(context), 0, context.device)
    if not context.dry:
        key = _key(reference, context)
        net.load_state_dict(context.store.tensors("classifiers", key, lambda: _train(reference, context).state_dict()))
    return net


def _student(reference: Student, context: Context) -> Classifier:
    net = build(reference.net, shape_of(context), 0, context.device)
    if context.dry:
        return net
    if context.made is None:
        raise UserError(
            f"{reference} learns from what earlier rounds made, and this is the first: give rounds=2 or more"
        )
    key = {**_key(reference, context), "made": context.made.fingerprint}
    net.load_state_dict(context.store.tensors("students", key, lambda: _train(reference, context).state_dict()))
    return net


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
    images = context.made if isinstance(reference, Student) else context.real.train
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
