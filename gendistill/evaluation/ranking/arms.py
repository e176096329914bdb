"""The treatments whose accuracies LRS and ARS are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from gendistill.context import Context
from gendistill.distilled import Distilled
from gendistill.evaluation.labelled import relabelled
from gendistill.images import Subset, drawn
from gendistill.labelers.base import Labeler
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training
from gendistill.recipe import Recipe
from gendistill.types import Images, UserError
from gendistill.views.numbered import Views


@dataclass(frozen=True)
class Arm:
    """One treatment whose accuracy is wanted.

    sets      one per seed
    training  of the students
    chosen    whether the learning rate is chosen on held-out training pictures, or that of the training
    """

    sets: Sequence[Distilled]
    training: Training
    chosen: bool


def with_source(
    made: Sequence[Distilled], labeler: Labeler | None, context: Context
) -> tuple[list[Distilled], Labeler]:
    """The sets with the labels they are ranked with, and who gives random pictures the same.

    Raises:
        UserError: nobody knows it.
    """
    if labeler is not None:
        return [relabelled(one, labeler, context) for one in made], labeler
    first = made[0]
    if first.soft.kind == "hard":
        return list(made), Hard()
    if isinstance(first.recipe, Recipe):
        return list(made), first.recipe.labeler
    raise UserError(
        f"this set has {first.soft.kind} labels and does not know who gave them: say by labeler= who labels it and random ones, "
        'such as Relabel((Trained(ConvNet()),), average="logits"), or rank its hard labels, distilled.hard()'
    )


def arms_of(
    sets: Sequence[Distilled], training: Training, labeler: Labeler, kept: Images, context: Context
) -> dict[str, Arm]:
    """All treatments but that of full real data, by name.

    Of a set of hard labels, "hard" is "method". One of soft labels is learned by its classes, too, at a rate of their own, unmixed.
    """
    still, own = replace(training, augment=None), sets[0].soft.kind != "hard"
    random = [relabelled(alike(one, kept, seed), labeler, context) for seed, one in enumerate(sets)]
    if sets[0].soft.kind != random[0].soft.kind:
        raise UserError(
            f"the set has {sets[0].soft.kind} labels and its recipe gives {random[0].soft.kind} ones: "
            "say by labeler= who labels both"
        )
    plain = {id(one): unaugmented(one, labeler, context) for one in sets}
    return {
        "hard": Arm([one.hard() for one in sets], unmixed(training) if own else training, own),
        "method": Arm(sets, training, False),
        "random": Arm(random, training, True),
        "plain": Arm([plain[id(one)] for one in sets], still, False),
        "random_plain": Arm([unaugmented(one, labeler, context) for one in random], still, True),
    }


def unmixed(training: Training) -> Training:
    """The same without pictures that are mixed of two: a class is of one picture."""
    augment = training.augment
    return replace(training, augment=replace(augment, mix=None)) if isinstance(augment, Views) else training


def alike(made: Distilled, real: Images, seed: int) -> Distilled:
    """As many random real pictures of every class as a set has, from a stream of their own for every seed."""
    counts = torch.bincount(made.labels, minlength=len(real.classes))
    picked = []
    for index, count in enumerate(counts.tolist()):
        where = real.where(index)
        if len(where) < count:
            raise UserError(
                f"{len(where)} real pictures of {real.classes[index]} are left to draw {count} from: lower `fraction`, "
                "or rank a smaller set"
            )
        picked.append(drawn(real, index, count, "rank", seed))
    return Distilled.of(Subset(real, torch.cat(picked)))


def unaugmented(made: Distilled, labeler: Labeler, context: Context) -> Distilled:
    """The same pictures with labels of the same source that are of the pictures as they are, not of augmented views."""
    if made.soft.views is None:
        return made
    if not isinstance(labeler, Ensemble):
        raise UserError(
            f"{labeler!r} labels augmented views only: without augmentation, ARS needs labels of the pictures as they are"
        )
    same = {one.name: getattr(labeler, one.name) for one in fields(Ensemble)}
    if isinstance(labeler, RelabelViews):
        same["codec"] = labeler.codec
    return relabelled(made, Relabel(**same), context)
