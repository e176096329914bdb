"""On to a later space of a generator: the same pictures, held by maps nearer to pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from gendistill.capabilities import Generates, Generator
from gendistill.context import Context, together
from gendistill.draft import Draft
from gendistill.steering.base import Steering
from gendistill.steering.render import pushed
from gendistill.work import Work


@dataclass(frozen=True)
class Push(Steering):
    """Take the pictures to a later space. They stay as they are; what moves from here on does not.

    space  name of a space of the prior; None for its last
    """

    space: str | None = None

    @property
    def needs(self) -> tuple[type, ...]:
        """A generator."""
        return (Generates,)

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """Latents in the space.

        Raises:
            UserError: the prior has no such space, or it lies before the one the pictures are in.
        """
        prior = cast(Generator, draft.prior)
        space = prior.spaces[-1] if self.space is None else self.space
        return replace(draft, latents=pushed(prior, draft.latents, space, together(context.real.train.shape)))

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """A part of a pass."""
        yield Work("push", 1, lambda: self(draft, context), rows=len(draft))

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """What would come out: it costs a part of a pass."""
        return self(draft, context)
