"""What classifiers that others trained and published have in common: they answer for their own classes, in their own order.

A network of a thousand classes answers for the k of the data by its logits of these alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gendistill import wordnet
from gendistill.context import Context
from gendistill.nets.alignment import places
from gendistill.nets.class_order import check_once
from gendistill.nets.presented import presented
from gendistill.nets.reference import Reference, looking, stated
from gendistill.system.store import fingerprint, fingerprint_files
from gendistill.types import Class, Images, Pixels, UserError


class Sight(NamedTuple):
    """How a network sees a picture.

    size       (h, w) that pictures are brought to; None for any
    mode       of the interpolation, as torch calls it
    mean, std  of each channel, in pixel units
    order      of the channels, by which red, green and blue are not the first, second and third everywhere
    """

    size: tuple[int, int] | None
    mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: tuple[int, ...] = ()


class PretrainedNet(nn.Module):
    """A published network as a classifier of the data: pixels in [0, 1] in, logits over its classes out."""

    mean: Tensor
    std: Tensor
    columns: Tensor

    def __init__(self, net: nn.Module, sight: Sight, columns: Sequence[int], outputs: int) -> None:
        """``columns`` are the outputs of ``net``, of which it has ``outputs``, that answer for the classes of the data."""
        super().__init__()
        self.net, self.sight = net, sight
        self.register_buffer("mean", torch.tensor(sight.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(sight.std).view(1, -1, 1, 1))
        self.register_buffer("columns", torch.tensor(columns))
        heads = [one for one in net.modules() if isinstance(one, nn.Linear) and one.out_features == outputs]
        self._head = heads[-1:]  # in a list, so that it is no module of this one a second time

    def _ask(self, pixels: Pixels) -> Any:
        if self.sight.order and pixels.shape[1] == len(self.sight.order):
            pixels = pixels[:, list(self.sight.order)]
        return self.net(presented(pixels, self.sight.size, self.sight.mode, self.mean, self.std))

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits, (n, k), differentiable."""
        return self.body(pixels)[:, self.columns]

    def body(self, pixels: Pixels) -> Tensor:
        """All that it answers, (n, d), whatever the classes."""
        said = self._ask(pixels)
        return getattr(said, "logits", said)

    def features(self, pixels: Pixels) -> Tensor:
        """What the last linear layer sees, (n, d); the logits where it is something else that answers."""
        if not self._head:
            return self(pixels)
        seen: list[Tensor] = []
        hook = self._head[0].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
        try:
            self._ask(pixels)
        finally:
            hook.remove()
        return seen[0].flatten(1)


class Pretrained(Reference):
    """Settings of a published network; a frozen dataclass with these fields, and the set ``checked`` of `check_once`.

    classes  what its outputs are, in their order: a WordNet id or a name for each, or the name of one of timm's subsets of
             ImageNet; empty where the network itself says it
    saw      the pictures it was trained on, for the card; empty for what its own card says, which is not enough to weigh or
             calibrate it by others
    """

    classes: tuple[str, ...] | str
    saw: str
    checked: set[str]

    @property
    @abstractmethod
    def whose(self) -> str:
        """The network, as a message calls it."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders here from which its weights are read."""
        return ()

    @abstractmethod
    def labels(self) -> Mapping[int, str]:
        """What the network itself says its outputs are; empty where it does not. Reads no weights."""

    @abstractmethod
    def outputs(self) -> int:
        """How many outputs the network has. Reads no weights."""

    @abstractmethod
    def build(self, weights: bool) -> tuple[nn.Module, Sight]:
        """The network on the CPU in float32, and how it sees; without ``weights`` an untrained one of the same size."""

    @abstractmethod
    def fetch(self) -> None:
        """Bring its weights here, if they are not.

        Raises:
            UserError: it cannot be done.
        """

    @abstractmethod
    def card(self) -> dict[str, str]:
        """Name, source, licence and what it saw, as far as its publisher says."""

    def said(self) -> Mapping[int, str]:
        """What its outputs are.

        Raises:
            UserError: nobody says it, or not of every output.
        """
        count = self.outputs()
        if not count:
            raise UserError(
                f"{self.whose} has no classifier, it is a body alone: give a network that was trained to classify"
            )
        given = wordnet.synsets(self.classes) if isinstance(self.classes, str) and self.classes else self.classes
        found = dict(enumerate(given)) or self.labels()
        if not found:
            raise UserError(
                f"{self.whose} does not say what its {count} outputs are: give classes=(...), a WordNet id or a name for each in "
                'their order, or classes="imagenet-1k"'
            )
        if given and len(given) != count:
            raise UserError(f"classes= names {len(given)} outputs, and {self.whose} has {count}")
        return found

    def columns(self, classes: Sequence[Class]) -> tuple[int, ...]:
        """The output of each class.

        Raises:
            UserError: a class is not among them, or may be several.
        """
        return places(
            classes, self.said(), self.whose,
            "fine-tune it on the classes of the data, or, where its outputs do mean them, say so by classes=(...), a WordNet id "
            "or a name for each of its outputs in their order",
        )  # fmt: skip

    def check(self, classes: Sequence[Class] = ()) -> None:
        """Fetch the weights, and find the classes among its outputs.

        Raises:
            UserError: it cannot be had, or does not know a class.
        """
        self.columns(classes)
        self.fetch()

    def load(self, context: Context) -> nn.Module:
        """The classifier of the data's classes.

        Raises:
            UserError: it cannot be had, does not know a class, or answers in another order than it says.
        """
        made = self._net(self.columns(context.real.classes), context)
        check_once(
            made,
            context,
            self.checked,
            self.whose,
            "say what its outputs are by classes=(...), one for each in their order",
        )
        return made

    def see(self, context: Context) -> Callable[[Pixels], Tensor]:
        """What its last linear layer sees, or a body without a head answers. It may be of any classes.

        Raises:
            UserError: it cannot be had.
        """
        outputs = self.outputs()
        net = self._net(range(outputs), context)
        return looking(net) if outputs else net.body

    def _net(self, columns: Sequence[int], context: Context) -> PretrainedNet:
        with torch.random.fork_rng(devices=[]):  # weights are drawn before they are read
            net, sight = self.build(weights=not context.dry)
        made = PretrainedNet(net.float(), sight, columns, self.outputs())
        return made.to(context.device).eval().requires_grad_(False)

    def origin(self, licence: str) -> dict[str, str]:
        """What its publisher says, and what the settings add."""
        return {**self.card(), **({"saw": self.saw} if self.saw else {})}

    def unseen(self, context: Context) -> Images:
        """A tenth of the training pictures, where the user states what else it saw.

        Raises:
            UserError: that is not stated.
        """
        return stated(self.saw, self.whose, context)

    def identity(self, context: Context) -> str:
        """Its settings, and what is in the files that lie here."""
        if not self.files:
            return repr(self)
        found = context.lasting(("files", self), lambda: fingerprint(*map(fingerprint_files, self.files)))
        return f"{self!r} {found}"
