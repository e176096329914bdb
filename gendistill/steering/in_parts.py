"""Objectives in memory bounded by one chunk of pictures, however many they judge together.

The gradient takes two passes (GLaD, Cazenavette et al., CVPR 2023, section 3.3): what the chunks show is collected without a
graph, and judged; then each chunk is decoded and looked at again, and follows the slope of the judgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.context import blocks
from gendistill.draft import Loss, Synthetic
from gendistill.objectives.base import Looks, PartedLoss, Scope
from gendistill.types import Losses


@dataclass(frozen=True)
class Term:
    """A loss, what one number of it judges, and its weight in a sum."""

    weight: float
    scope: Scope
    loss: Loss


def losses_of(terms: Sequence[Term], synthetic: Synthetic, chunk: int) -> list[Losses]:
    """Each loss without its weight, of ``chunk`` pictures at a time where it can be: those are decoded once for all."""
    rows = _rows(synthetic, chunk)
    if len(rows) == 1:
        return [term.loss(synthetic) for term in terms]
    shown = [_shown(term, synthetic) for term in terms]
    pieces = [one for one in shown if one.in_parts]
    for part in map(synthetic.part, rows if pieces else []):
        for one in pieces:
            one.show(part)
    return [one.losses(synthetic) for one in shown]


def backward(terms: Sequence[Term], synthetic: Synthetic, chunk: int) -> list[Tensor]:
    """Add to the leaves of ``synthetic`` the gradients of the weighted sum of the losses; the value of each, without its weight.

    A chunk is decoded once for all that judge pictures singly, and once more where a `PartedLoss` judges them together. Any
    other loss of a group is shown all pictures at once. What no loss depends on keeps the gradient it has, be it None.
    """
    assert all(leaf.is_leaf for leaf in synthetic.leaves), "gradients are left at leaves only"
    rows = _rows(synthetic, chunk)
    shown = [_Shown(term, False) if len(rows) == 1 else _shown(term, synthetic) for term in terms]
    whole, pieces = ([one for one in shown if one.in_parts == wanted] for wanted in (False, True))
    together = [one for one in pieces if isinstance(one, _Together)]
    if together:
        with torch.no_grad():
            for part in map(synthetic.part, rows):
                for one in together:
                    one.show(part)
        for one in together:
            one.judge(synthetic)
    if pieces:
        gathered = []
        for number, part in enumerate(map(synthetic.part, rows)):
            _descend([one.along(number, part) for one in pieces], part)
            gathered.append([leaf.grad for leaf in part.leaves])
        for leaf, found in zip(synthetic.leaves, zip(*gathered, strict=True), strict=True):
            _add(leaf, found, [leaf[part] for part in rows])
    _descend([one.along(0, synthetic) for one in whole], synthetic)
    return [one.value for one in shown]


class _Shown:
    """A term that is shown all pictures at once, or, where it judges them one by one, in parts that add up."""

    def __init__(self, term: Term, in_parts: bool) -> None:
        self.term, self.in_parts, self.value = term, in_parts, torch.zeros(())
        self.found = list[Losses]()

    def show(self, part: Synthetic) -> None:
        """Collect what the next part makes of the loss."""
        self.found.append(self.term.loss(part))

    def losses(self, synthetic: Synthetic) -> Losses:
        """The loss of all pictures, once all parts were shown."""
        return torch.cat(self.found) if self.in_parts else self.term.loss(synthetic)

    def along(self, number: int, part: Synthetic) -> Tensor:
        """What part ``number`` adds to the sum that is descended."""
        value = self.term.loss(part).sum()
        self.value = self.value + value.detach()
        return self.term.weight * value


class _Together(_Shown):
    """A term that judges what all parts show: those are collected and judged first, and then follow the slope of the judgement."""

    def __init__(self, term: Term, loss: PartedLoss) -> None:
        super().__init__(term, True)
        self.loss, self.looks, self.slopes = loss, list[Looks](), list[Looks]()

    def show(self, part: Synthetic) -> None:
        """Collect what the next part shows."""
        looks = self.loss.look(part)
        self.looks = [_joined(self.loss, [*self.looks, looks])] if self.loss.adds else [*self.looks, looks]

    def losses(self, synthetic: Synthetic) -> Losses:
        """The judgement of what all parts show."""
        return self.loss.judge(_joined(self.loss, self.looks), synthetic)

    def judge(self, synthetic: Synthetic) -> None:
        """Find the value, and its slope by what each part shows."""
        leaves = {name: value.requires_grad_() for name, value in _joined(self.loss, self.looks).items()}
        with torch.enable_grad():
            value = self.loss.judge(leaves, synthetic).sum()
        self.value = value.detach()
        if value.requires_grad and leaves:
            (self.term.weight * value).backward(inputs=list(leaves.values()))
        slopes = {name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()}
        self.slopes = [slopes] if self.loss.adds else _as_shown(slopes, self.looks)
        self.looks = []

    def along(self, number: int, part: Synthetic) -> Tensor:
        """The looks at a part times their slopes."""
        slopes = self.slopes[0 if self.loss.adds else number]
        products = [(shown * slopes[name]).sum() for name, shown in self.loss.look(part).items()]
        return torch.stack(products).sum() if products else torch.zeros(())


def _shown(term: Term, synthetic: Synthetic) -> _Shown:
    if isinstance(term.loss, PartedLoss) and term.loss.parts(synthetic):
        return _Together(term, term.loss)
    return _Shown(term, term.scope == "picture")


def _rows(synthetic: Synthetic, chunk: int) -> list[slice]:
    return blocks(len(synthetic), chunk) or [slice(None)]


def _descend(terms: Sequence[Tensor], part: Synthetic) -> None:
    """Leave the gradients of the sum of some terms at the leaves of a part, and nowhere else."""
    total = sum(terms, torch.zeros(()))
    if total.requires_grad and part.leaves:
        total.backward(inputs=part.leaves)


def _add(leaf: Tensor, found: Sequence[Tensor | None], rows: Sequence[Tensor]) -> None:
    """Add to the gradient of a leaf those of its parts; a part without any counts 0, unless none has one."""
    if all(one is None for one in found):
        return
    gradient = torch.cat([torch.zeros_like(row) if one is None else one for one, row in zip(found, rows, strict=True)])
    leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient


def _joined(loss: PartedLoss, shown: Iterable[Looks]) -> Looks:
    """The looks at all parts as one."""
    found: dict = {}
    for looks in shown:
        for name, value in looks.items():
            found.setdefault(name, []).append(value)
    return {name: torch.stack(values).sum(0) if loss.adds else torch.cat(values) for name, values in found.items()}


def _as_shown(slopes: Looks, shown: Sequence[Looks]) -> list[Looks]:
    """Slopes of joined looks, cut as the parts showed them."""
    found, begins = [], dict.fromkeys(slopes, 0)
    for looks in shown:
        part = {}
        for name, seen in looks.items():
            part[name] = slopes[name][begins[name] : begins[name] + len(seen)]
            begins[name] += len(seen)
        found.append(part)
    return found
