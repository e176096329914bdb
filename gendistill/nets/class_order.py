"""Whether a given classifier means the data's classes by its outputs: the order of classes is what goes wrong unseen."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn

from gendistill.context import Context
from gendistill.types import Class, Images, UserError

log = logging.getLogger("gendistill")

PICTURES = 10
"""Of every class are looked at, evenly spaced, one class at a time."""
MISPLACED = 0.1
"""Share of the pictures that another order must set right before it is believed; confusable pairs explain less."""
KNOWING = 5.0
"""Standard deviations above chance from which on a network has learned some classes, however unsure its answers are."""
ENOUGH = 5
"""Pictures of a class from which on most of them say what it is called."""
CHANCE = 1e-3
"""Probability below which a ring of classes that are called each other is no accident of classes that look alike."""


MEND = "give a module whose outputs follow the classes of the data, for example one that returns net(pixels)[:, order]"
"""What would do instead of a module whose outputs are in another order."""


def check_once(net: nn.Module, context: Context, checked: set[str], name: str = "", mend: str = MEND) -> None:
    """`check_order` by the real training pictures, where there are any, they are not ``checked`` yet, and this is no plan."""
    real = context.real.train
    if not context.dry and len(real) and real.fingerprint not in checked:
        check_order(net, real, context.device, name, mend)
        checked.add(real.fingerprint)


def check_order(net: nn.Module, images: Images, device: torch.device, name: str = "", mend: str = MEND) -> None:
    """Let a classifier name some pictures whose classes are known.

    An untrained network separates easy classes too, in an order of its own, but is not sure of it, nor right more often than a
    guess. So a network is refused only where it is sure, a mean probability of its answers above k^-1/2, half way from a guess
    to certainty in nats, or clearly right about some classes, of which softened answers of a trained one give no other sign.

    Raises:
        UserError: another order of its outputs explains the pictures, or those of some classes; or it is worse than chance.
    """
    counts, sure = answers(net, images, device)
    total, classes = int(counts.sum()), len(counts)
    right, order = int(counts.diagonal().sum()), best_order(counts)
    reordered = int(counts[torch.arange(classes), order].sum())
    chance, deviation = total / classes, math.sqrt(total * (classes - 1)) / classes
    name = name or f"the given {type(net).__name__}"
    if sure > classes**-0.5 or right > chance + KNOWING * deviation:
        explains = reordered / total >= (1 + 1 / classes) / 2
        if explains and reordered - right >= MISPLACED * total:
            raise UserError(
                f"{name} has its classes in another order than the data: it calls {examples(counts, order, images.classes)}. "
                f"It is right on {right} of {total} training pictures, and would be on {reordered} with its outputs reordered; "
                f"{mend}"
            )
        if right < chance - 3 * deviation:
            raise UserError(
                f"{name} is worse than chance on these pictures: right on {right} of {total} training pictures, "
                f"a guess is on {chance:.0f}; give a classifier of these classes that takes pixels in [0, 1]"
            )
        for order in rings(counts):
            raise UserError(
                f"{name} has {int((order != torch.arange(classes)).sum())} of its {classes} classes in another order than the "
                f"data: it calls {examples(counts, order, images.classes)}; {mend}"
            )
    if classes > 1 and right <= chance + 2 * deviation:
        log.warning(
            "%s knows little of these pictures: right on %d of %d, a guess is on %.0f", name, right, total, chance
        )


@torch.no_grad()
def answers(net: nn.Module, images: Images, device: torch.device) -> tuple[Tensor, float]:
    """How often pictures of a class (row) are called a class (column), (k, k), and the mean probability of these answers."""
    classes = len(images.classes)
    counts, sure = torch.zeros(classes, classes, dtype=torch.long), 0.0
    for index in range(classes):
        mine = images.where(index)
        picked = mine[torch.linspace(0, len(mine) - 1, min(len(mine), PICTURES)).round().long()]
        if len(picked):
            probability, said = net(images.pixels(picked, device)).float().softmax(1).max(1)
            counts[index] = torch.bincount(said.cpu(), minlength=classes)
            sure += float(probability.sum())
    return counts, sure / max(int(counts.sum()), 1)


def best_order(counts: Tensor) -> Tensor:
    """For every class the output that means it, (k,): the most frequent answers first, its own where nothing speaks against it."""
    classes = len(counts)
    order, free = torch.full((classes,), -1), torch.ones(classes, dtype=torch.bool)
    rows, columns = torch.nonzero(counts, as_tuple=True)
    # Twice the count, plus one on the diagonal: of equally frequent answers the right one goes first.
    worth = 2 * counts[rows, columns] + (rows == columns).long()
    for place in worth.argsort(descending=True, stable=True).tolist():
        row, column = int(rows[place]), int(columns[place])
        if order[row] < 0 and free[column]:
            order[row], free[column] = column, False
    open_rows = torch.nonzero(order < 0).flatten()
    own = open_rows[free[open_rows]]
    order[own], free[own] = own, False
    rest = torch.nonzero(order < 0).flatten()
    order[rest] = torch.nonzero(free).flatten()
    return order


def rings(counts: Tensor) -> list[Tensor]:
    """Orders that set right some classes each, (k,): most pictures of one are called the next, and of the last the first.

    Classes that look alike lean one way: of two the wrong names are at most half of all. Only a permutation makes a ring,
    and it counts where so many wrong names among the wrong and the right ones are less likely than `CHANCE`.
    """
    classes = len(counts)
    most, called = counts.max(1)
    total = counts.sum(1)
    called = torch.where((2 * most > total) & (total >= ENOUGH), called, torch.arange(classes)).tolist()
    found, seen = list[Tensor](), set[int]()
    for start in range(classes):
        path = [start]
        while (at := called[path[-1]]) not in seen and at not in path:
            path.append(at)
        ring = path[path.index(at) :] if at in path else []
        seen.update(path)
        wrong, right = int(most[ring].sum()), int(counts[ring, ring].sum())
        if len(ring) > 1 and at_least(wrong, wrong + right) < CHANCE:
            order = torch.arange(classes)
            order[ring] = torch.tensor([called[index] for index in ring])
            found.append(order)
    return found


def at_least(heads: int, tosses: int) -> float:
    """Probability of so many heads or more of a fair coin."""
    return sum(math.comb(tosses, number) for number in range(heads, tosses + 1)) / 2**tosses


def examples(counts: Tensor, order: Tensor, classes: tuple[Class, ...]) -> str:
    """Up to three classes whose pictures are called another, the clearest first."""
    rows = torch.arange(len(order))
    moved = torch.nonzero((order != rows) & (counts[rows, order] > 0)).flatten()
    clearest = moved[counts[moved, order[moved]].argsort(descending=True, stable=True)][:3].tolist()
    told = [
        f"{counts[row, order[row]]} of {counts[row].sum()} pictures of {classes[row]} {str(classes[order[row]])!r}"
        for row in clearest
    ]
    return ", ".join(told)
