"""What every labeler is: settings that give the pictures of a set their labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from gendistill.context import Context
from gendistill.types import Images, RealData, SoftLabels
from gendistill.work import Work


class Labeler(ABC):
    """Who labels; a frozen dataclass."""

    @abstractmethod
    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """The labels of the pictures of a set, in its order."""

    def check(self, data: RealData) -> None:
        """Raise `UserError` if it cannot label these data. Reads no picture, loads no weights."""
        return None

    def bytes(self, classes: int) -> int:
        """What the labels of one picture cost, of so many classes: 0 where nothing but its class is kept."""
        return 0

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """What labelling will cost, training of teachers included; nothing for hard labels."""
        return ()

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers; none for hard labels. ``licence`` is that of the real pictures."""
        return []
