"""Whether soft labels are of the pictures they stand beside: by how many of them are for the class of their picture.

Labels of another set, or of this one in another order, have the right shape and are probabilities; what gives them away is that
they agree with the classes no better than chance. That alone does not prove a mistake: a teacher may see nothing of a class in
pictures of noise, of a weak prior or of a method's own making, and such sets must be judged, too. Its answers then fall into a
few classes, and a note says so. Labels that went astray are spread over the classes as the pictures are, and in another order
would agree with most of them: these are refused. So is who answers every class as often and knows none, as a teacher that guesses
is. Probabilities in .pt files cannot be told so: the classes there are the likeliest of the labels themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from gendistill.distilled import Distilled
from gendistill.evaluation.checks import check_labels
from gendistill.images import BLOCK
from gendistill.types import UserError

BETTER = 0.05
"""Labels that chance alone makes agree as often as this, or more rarely, are better than guesses."""
FEW = 0.01
"""Labels that agree halfway between guesses and always must be as rare as this, to be doubted for how few agree: few pictures tell
nothing."""
MANY = 0.2
"""Chance up to which there are classes enough for an order to show."""
MOST = 0.75
"""Share of the pictures that labels which went astray would agree with in another order, at least: teachers of small sets are right
about so many."""


@dataclass(frozen=True)
class Hits:
    """How many soft labels have the class of their picture as the likeliest.

    right    pictures of which that is so
    count    pictures
    chance   the share that labels would agree with in a random order, in [0, 1]
    at_best  pictures that the labels would agree with in the best order
    """

    right: int
    count: int
    chance: float
    at_best: int

    @property
    def doubtful(self) -> bool:
        """Whether guesses agree as often, and labels that know something hardly ever so rarely."""
        by_chance = stats.binom.sf(self.right - 1, self.count, self.chance)
        knowing = stats.binom.cdf(self.right, self.count, (1 + self.chance) / 2)
        return bool(by_chance > BETTER and knowing < FEW)

    @property
    def astray(self) -> bool:
        """Whether they are doubtful, agree no more often than by chance, and would with most pictures in another order.

        Of a few classes any answers would, so that there they must agree clearly less often than by chance.
        """
        most = self.at_best >= MOST * self.count
        if self.chance <= MANY:
            return self.doubtful and most and self.right <= self.chance * self.count
        return self.doubtful and most and bool(stats.binom.cdf(self.right, self.count, self.chance) < FEW)

    def __str__(self) -> str:
        return f"{self.right:,} of the {self.count:,} are likeliest for the class of their picture, chance makes {self.chance:.1%}"


def hits(likeliest: Tensor, labels: Tensor, classes: int) -> Hits:
    """Of the likeliest classes (n,) by the soft labels, and the classes (n,) of the pictures, among so many."""
    said, true = (torch.bincount(one.cpu(), minlength=classes) for one in (likeliest, labels))
    chance = float((said.double() * true.double()).sum()) / max(len(labels), 1) ** 2
    return Hits(int((likeliest.cpu() == labels.cpu()).sum()), len(labels), chance, int(torch.minimum(said, true).sum()))


def hits_of(made: Distilled) -> Hits | None:
    """Those of a set, by the first of its views where it has several; None where it has no labels that are stored."""
    if made.soft.kind in ("hard", "online") or not len(made.images):
        return None
    likeliest = [made.soft.at(part).argmax(1).cpu() for part in torch.arange(len(made.images)).split(BLOCK)]
    return hits(torch.cat(likeliest), made.labels, len(made.classes))


def check_soft(made: Sequence[Distilled]) -> None:
    """Refuse labels of the sets that are none or of other pictures, before anything is made or trained.

    Of many views the first is looked at: all of them take long to read, and are looked at when they are learned from.

    Raises:
        UserError: as `check_labels`, or they are of other pictures, or in another order.
    """
    for one in made:
        if one.soft.kind == "online":
            continue
        check_labels(one, "distilled", views=1)
        found = hits_of(one)
        if found is not None and found.astray:
            raise UserError(
                "the soft labels of the set are in another order than its pictures or their classes, or of another set: "
                f"{found}, and in another order {found.at_best:,} would be. Bring both into one order, or judge the pictures by "
                "their classes: labelers=(Hard(),), and labeler=Hard() where the set is ranked"
            )


def doubts(sets: Mapping[str, Sequence[Distilled]]) -> Iterator[str]:
    """What a reader must know of soft labels that agree with the pictures they are learned with as guesses do."""
    for name, made in sets.items():
        for found in filter(None, map(hits_of, made)):
            if found.doubtful:
                yield (
                    f"The soft labels of the set {name!r} agree with the classes of its pictures no better than guesses: {found}. "
                    "Either they are of other pictures, or who labelled sees nothing of the classes in these."
                )
                break
