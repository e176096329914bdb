"""What every selection is: of more pictures than are wanted, some are kept and take over the slots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gendistill.context import Context, blocks, together
from gendistill.draft import Draft
from gendistill.objectives.base import Scope
from gendistill.steering.base import Steering, unshaped
from gendistill.steering.render import rows
from gendistill.types import Pixels, UserError
from gendistill.work import Work


class Selection(Steering):
    """Keeps as many pictures of every class as the draft has slots; the others are gone."""

    keeps = True
    moves = False

    @property
    def scope(self) -> Scope:
        """All candidates of a class."""
        return "class"

    @abstractmethod
    def choose(self, draft: Draft, groups: Sequence[Tensor], wanted: int, context: Context) -> Sequence[Tensor]:
        """Rows to keep of every group, ``wanted`` each, in the order of their new slots. A group is the rows of a class."""

    @torch.no_grad()
    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The kept pictures, class by class, in the slots the draft has; a candidate number tells where each came from.

        Raises:
            UserError: there are fewer pictures than wanted, or none yet.
        """
        name = type(self).__name__
        if not draft.latents:
            raise UserError(f"{name} keeps some pictures, and there are none yet: put Sample(...) before it")
        slots, groups = draft.ids[:, 1].unique(), [torch.nonzero(draft.labels == i).flatten() for i in classes(draft)]
        for index, group in zip(classes(draft), groups, strict=True):
            if len(group) < len(slots):
                raise UserError(
                    f"{name} keeps {len(slots)} of {len(group)} pictures of class {context.real.classes[index]}: "
                    "raise oversample in Sample"
                )
        chosen, ids = self.choose(draft, groups, len(slots), context), draft.ids.clone()
        for group, kept in zip(groups, chosen, strict=True):
            ids[kept, 2] += ids[kept, 1] * (int(draft.ids[group, 2].max()) + 1)
            ids[kept, 1] = slots
        all_kept = torch.cat(list(chosen))
        return replace(draft[all_kept], ids=ids[all_kept])

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """As noisy as what comes in."""
        return replace(super().imagined(draft, context), level=draft.level)

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """A decode of every candidate; what is asked about them comes on top."""
        ready = imagined(draft, context)[slice(0, together(context.real.train.shape))]
        yield Work("decode", len(draft) / len(ready), lambda: seen(ready, Tensor.cpu, context), rows=len(ready))


def classes(draft: Draft) -> list[int]:
    """The classes of a draft, ascending."""
    return draft.labels.unique().tolist()


def imagined(draft: Draft, context: Context) -> Draft:
    """The draft, with noise where it has no latents yet: it costs the same."""
    return (
        draft if draft.latents else replace(draft, latents=unshaped(draft.prior, context.seed, draft.ids, draft.labels))
    )


@torch.no_grad()
def seen(draft: Draft, see: Callable[[Pixels], Tensor], context: Context) -> Tensor:
    """What ``see`` makes of the finished pictures of a draft, on the CPU: decoded and clamped, block by block."""
    chunk = together(context.real.train.shape)
    parts = (rows(draft.latents, part) for part in blocks(len(draft), chunk))
    return torch.cat([see(draft.prior.decode(part).float().clamp(0, 1)).cpu() for part in parts])
