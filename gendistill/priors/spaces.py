"""The hierarchy of a generator: one space after the other, each latents mapping holding what the rest of the way needs.

A generator lists its spaces and says how one step is taken; where latents are, and how they get further, follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from gendistill.types import Latents, Pixels, UserError


class Hierarchy(ABC):
    """A generator that makes a picture in one pass, space by space.

    spaces  names of the spaces, from noise to the last one before pixels
    """

    spaces: tuple[str, ...]

    @abstractmethod
    def step(self, latents: Latents, index: int) -> Latents:
        """The latents of space ``index``, taken to the next one."""

    @abstractmethod
    def render(self, latents: Latents) -> Pixels:
        """Pixels of latents in the last space."""

    def where(self, latents: Latents) -> int:
        """The space latents are in: the last one whose name is among theirs."""
        found = [index for index, name in enumerate(self.spaces) if name in latents]
        if not found:
            raise UserError(
                f"latents called {', '.join(latents) or 'nothing'} are in no space of this generator: {self}"
            )
        return found[-1]

    def push(self, latents: Latents, space: str) -> Latents:
        """The same pictures in a later space (or the one they are in), differentiable."""
        if space not in self.spaces:
            raise UserError(f"{space!r} is no space of this generator; there are {', '.join(self.spaces)}")
        here, there = self.where(latents), self.spaces.index(space)
        if there < here:
            raise UserError(f"latents in {self.spaces[here]!r} cannot go back to {space!r}: a generator runs one way")
        for index in range(here, there):
            latents = self.step(latents, index)
        return latents

    def decode(self, latents: Latents) -> Pixels:
        """Pixels of latents in any space, differentiable, not clamped."""
        return self.render(self.push(latents, self.spaces[-1]))

    def __str__(self) -> str:
        return f"{type(self).__name__} with spaces {', '.join(self.spaces)}"
