"""What every reference of a classifier is: settings that say where its weights come from. A new kind is one new file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from torch import nn

from gendistill.context import Context
from gendistill.images import split
from gendistill.types import Class, Images
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

    def unseen(self, context: Context) -> Images:
        """Real training pictures it may be weighed and calibrated by: a tenth. What networks of others saw, nobody knows here."""
        return split(context.real.train, 0.1, 0, context.real.name)[1]
