"""What every reference of a classifier is: settings that say where its weights come from. A new kind is one new file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gendistill.context import Context
from gendistill.images import split
from gendistill.types import Class, Images, Pixels, UserError
from gendistill.work import Work


class Reference(ABC):
    """Which classifier; a frozen dataclass.

    looks_at_real  its weights follow from the real pictures
    """

    looks_at_real: ClassVar[bool] = False

    @abstractmethod
    def load(self, context: Context) -> nn.Module:
        """The classifier, frozen, in eval mode, on the context's device; when dry, an untrained one that costs the same.

        It takes pixels in [0, 1] and answers with logits over the data's classes, in their order.
        """

    def see(self, context: Context) -> Callable[[Pixels], Tensor]:
        """What it sees in pixels in [0, 1], (n, d): what its head is shown. A published network need not know the classes."""
        return looking(self.load(context))

    @abstractmethod
    def origin(self, licence: str) -> dict[str, str]:
        """What a card says of it; ``licence`` is that of the real pictures, which a network trained in place takes on."""

    def check(self, classes: Sequence[Class] = ()) -> None:
        """Raise `UserError` if it is not here and cannot be fetched, or does not know the given classes. Loads no weights."""
        return None

    def work(self, context: Context) -> Iterable[Work]:
        """What `load` will cost the first time; nothing where nothing is trained."""
        return ()

    def identity(self, context: Context) -> str:
        """What its answers follow from, beside the real pictures: for the keys of what is kept."""
        return repr(self)

    @abstractmethod
    def unseen(self, context: Context) -> Images:
        """Real training pictures that it did not see, by which it may be weighed and calibrated.

        Raises:
            UserError: there are none, or nobody knows.
        """


def looking(net: nn.Module) -> Callable[[Pixels], Tensor]:
    """What the head of a network is shown, (n, d) float32; of a module without ``features``, its answers."""
    return lambda pixels: getattr(net, "features", net)(pixels).flatten(1).float()


def tenth(context: Context) -> Images:
    """A tenth of the real training pictures of each class: for networks that saw none of them."""
    return split(context.real.train, 0.1, 0, context.real.name)[1]


def stated(saw: str, whose: str, context: Context) -> Images:
    """A `tenth` for a network of others, where the user says what it saw.

    Raises:
        UserError: nobody says it, so that it may have seen all of them.
    """
    if not saw:
        raise UserError(
            f"{whose} may have seen every training picture, so none is known to weigh or calibrate it by: if it saw none of them, "
            "state what it saw by saw='...'; else give numbers, or a teacher that is trained here, Trained(..., held_out=0.1)"
        )
    return tenth(context)
