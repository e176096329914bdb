"""Drafts taken apart and put together: in turns, from earlier rounds, one after the other, and once more for every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gendistill.capabilities import Encodes
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.types import LATENT, Conditions, UserError


def turns(draft: Draft, at_once: int) -> list[Tensor]:
    """Rows of a draft in the order they are made: ``at_once`` slots of every class at a time, all their candidates."""
    slots = draft.ids[:, 1]
    return [torch.nonzero(torch.isin(slots, part)).flatten() for part in slots.unique().split(at_once)]


def earlier(draft: Draft, context: Context) -> list[Draft]:
    """What earlier rounds made of the classes of a draft, as one draft; none where there is nothing, or the prior cannot encode."""
    made = context.made
    if made is None or not isinstance(context.prior, Encodes):
        return []
    rows = torch.cat([made.where(int(index)) for index in draft.labels.unique()])
    labels = made.labels[rows]
    ids = torch.stack([labels, torch.arange(len(rows)), torch.zeros_like(rows)], 1)
    return [
        Draft(
            draft.prior,
            {LATENT: context.encode(made.stored(rows)).to(context.device)},
            ids,
            labels,
            torch.ones(len(rows)),
        )
    ]


def joined(parts: Sequence[Draft]) -> Draft:
    """Drafts of one kind, one after the other."""
    if len(parts) == 1:
        return parts[0]

    def conditions(kind: str) -> dict[str, Tensor]:
        found = [getattr(part.conditions, kind) for part in parts]
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    return replace(
        parts[0],
        latents={name: torch.cat([part.latents[name] for part in parts]) for name in parts[0].latents},
        ids=torch.cat([part.ids for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
        conditions=None if parts[0].conditions is None else Conditions(conditions("values"), conditions("null")),
        prompts=None if parts[0].prompts is None else tuple(text for part in parts for text in part.prompts or ()),
    )


def candidates(draft: Draft, count: int) -> Draft:
    """Every picture ``count`` times, candidates numbered from 0.

    Raises:
        UserError: the latents are noisy, so that all candidates of a slot would go on from one point.
    """
    if count == 1:
        return draft
    if draft.latents and float(draft.level.time) > 0:
        raise UserError(
            f"{count} candidates would all go on from the one noisy point of their slot, by most solvers to the same picture: "
            "use oversample=1; or begin without Start(...) or at clean anchors, such as Start(Modes()), and each has its own noise"
        )
    copied = draft[torch.arange(len(draft)).repeat_interleave(count)]
    ids = copied.ids.clone()
    ids[:, 2] = ids[:, 2] * count + torch.arange(count).repeat(len(draft))
    return replace(copied, ids=ids)
