"""What settings have in common that ask teachers: for what these see in pictures, or for what they say pictures are."""

from __future__ import annotations

from typing import Any

from gendistill.nets import ensemble


class Teachers:
    """Settings with ``teachers``: references of classifiers, see `gendistill.nets.trained.load`."""

    teachers: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Wrap loaded modules.

        Raises:
            UserError: there is no teacher, or something else is among them.
        """
        object.__setattr__(self, "teachers", ensemble.members(type(self).__name__, self.teachers))

    def origins(self, licence: str) -> list[dict[str, str]]:
        """What a card says of the teachers; ``licence`` is that of the real pictures."""
        return ensemble.origins(self.teachers, licence)


class AnsweringTeachers(Teachers):
    """Settings that go by the answers of all their teachers."""

    @property
    def answering(self) -> tuple[Any, ...]:
        """Who must not guess, see `gendistill.nets.guessing.check_teachers`: all of them."""
        return self.teachers
