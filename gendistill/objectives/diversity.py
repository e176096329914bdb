"""Pictures of a class differ from each other: the second half of Minimax, and the deviation guidance of IGD.

Minimax Diffusion (Gu et al., CVPR 2024), https://arxiv.org/abs/2311.15529, tunes with

    loss_class = n max_{pictures i, m in memory} cos(clean_i, m)              (times the n pictures of the class)

and IGD (Chen et al., ICLR 2025), https://github.com/mchen725/DD_IGD, samples one picture at a time with

    loss_picture = max_{m in memory} cos(clean, m)

These are one wish: the memory holds what was made of the class before. They differ in what a maximum runs over where several
pictures of a class are made together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gendistill.capabilities import Encodes
from gendistill.config.settled import check_choices
from gendistill.context import Context
from gendistill.draft import Synthetic
from gendistill.objectives.base import MemoryLoss, Objective, of_class
from gendistill.objectives.representativeness import Newest, directions
from gendistill.types import LATENT, Labels, Losses, UserError


@dataclass(frozen=True)
class Diversity(Objective):
    """The largest cosine between clean latents of a class and others of the class, which are held fixed.

    In fine-tuning the others are the newest predictions for the class, and a class without any counts 0. Elsewhere they are
    the newest finished pictures of the class and those that are made together with this one, other than candidates of its own
    slot, of which one is kept; where there is no other, 0.

    memory  newest predictions or finished pictures per class
    over    what one maximum runs over: "class", all pairs, times the pictures (Minimax); "picture", the pairs of one picture,
            summed (IGD)
    """

    memory: int = 64
    over: Literal["class", "picture"] = "class"
    weight: float = 0.008
    scope = "class"
    looks_at_real = False
    needs = (Encodes,)  # not to encode: a prior that does holds its pictures as one latent

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise UserError(f"Diversity needs memory >= 1, got {self.memory}")
        check_choices(self)

    def bind(self, context: Context) -> MemoryLoss:
        """One number per class of the context, in its order."""
        return _Differs(self, context)


def finished(synthetic: Synthetic, index: int) -> Tensor:
    """Clean latents of class ``index`` that were finished before, oldest first, (m, ...); none where nothing was."""
    if synthetic.made is None:
        return synthetic.clean[:0].detach()
    made = synthetic.made.latents[LATENT]
    return of_class(made, synthetic.made.labels, index).detach()


class _Differs(MemoryLoss):
    def __init__(self, settings: Diversity, context: Context) -> None:
        self.settings, self.classes = settings, context.classes
        self.predicted = Newest(settings.memory, context.device)

    def __call__(self, synthetic: Synthetic) -> Losses:
        unit, present = directions(synthetic.clean), set(synthetic.labels.tolist())
        nothing, labels = unit[:0].sum(), synthetic.labels.to(unit.device)
        return torch.stack(
            [
                self._one(index, labels == index, unit, synthetic) if index in present else nothing
                for index in self.classes
            ]
        )

    def _one(self, index: int, mine: Tensor, every: Tensor, synthetic: Synthetic) -> Tensor:
        unit = every[mine]
        count = len(unit)
        if self.predicted.began:
            near = torch.cat([unit @ predicted.T for predicted in self.predicted.of(index)] or [unit[:, :0]], 1)
        else:
            slots = synthetic.ids[mine.cpu(), 1].to(unit.device)
            together = (unit @ unit.detach().T).masked_fill(slots[:, None] == slots, -torch.inf)
            near = torch.cat([unit @ directions(finished(synthetic, index)[-self.settings.memory :]).T, together], 1)
        if near.isneginf().all():  # as it is where there are none
            return unit[:0].sum()
        return count * near.amax() if self.settings.over == "class" else near.amax(1).sum()

    def remember(self, clean: Tensor, labels: Labels, real: Tensor) -> None:
        self.predicted.add(clean, labels)

    def state_dict(self) -> dict[str, Tensor]:
        return self.predicted.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.predicted.load_state_dict(state)
