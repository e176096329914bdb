"""What settings have in common that go by the answers of teachers."""

from __future__ import annotations

from typing import Any

from gendistill.nets import ensemble


class Teachers:
    """Settings with ``teachers``, references of classifiers (`gendistill.nets.trained.load`), all of whose answers count."""

    teachers: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Wrap loaded modules.

        Raises:
            UserError: there is no teacher, or something else is among them.
        """
        object.__setattr__(self, "teachers", ensemble.members(type(self).__name__, self.teachers))

    @property
    def answering(self) -> tuple[Any, ...]:
        """Who must not guess, see `gendistill.nets.guessing.check_teachers`: all of them."""
        return self.teachers

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers; ``licence`` is that of the real pictures."""
        return ensemble.origins(self.teachers, licence)
