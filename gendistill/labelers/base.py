"""What every labeler is: settings that give the pictures of a set their labels."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gendistill.context import Context
from gendistill.types import Images, SoftLabels


class Labeler(ABC):
    """Who labels; a frozen dataclass."""

    @abstractmethod
    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """The labels of the pictures of a set, in its order."""

    def describe(self) -> list[str]:
        """The teachers, for provenance; none for hard labels."""
        return []
