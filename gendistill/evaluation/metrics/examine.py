"""What there is to know of a student beyond its accuracy: from one pass over the pictures, and from more under stress."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gendistill.evaluation.metrics.calibration import Calibration, calibration
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS
from gendistill.evaluation.metrics.per_class import PerClass, per_class
from gendistill.evaluation.metrics.robustness import Adversarial, Corrupted, attack, corrupt
from gendistill.evaluation.metrics.stress import Stress
from gendistill.images import Subset
from gendistill.nets.logits import logits
from gendistill.types import Images, Labels


@dataclass(frozen=True)
class Examination:
    """What a student is like.

    accuracy     in percent
    per_class    the same by class, and what is taken for what
    calibration  how far its probabilities may be believed
    adversarial  accuracy under attacks, None where none were made
    corrupted    accuracy under common corruptions, None where none were made
    """

    accuracy: float
    per_class: PerClass
    calibration: Calibration
    adversarial: Adversarial | None = None
    corrupted: Corrupted | None = None


def examine(
    net: nn.Module, images: Images, device: str | torch.device = "cpu", stress: Stress | None = None
) -> Examination:
    """Examine a network on held-out pictures.

    Raises:
        UserError: pictures and network do not fit.
    """
    found = of_logits(logits(net, images, device), images.labels)
    if stress is None:
        return found
    hit, worn = endure(net, images, device, stress)
    return Examination(found.accuracy, found.per_class, found.calibration, hit, worn)


def endure(
    net: nn.Module, images: Images, device: str | torch.device, stress: Stress
) -> tuple[Adversarial | None, Corrupted | None]:
    """What is left of a network's accuracy under attacks and under corruptions; None where none are asked for."""
    some, known = images, {one.name: one for one in CORRUPTIONS}
    if stress.most is not None and len(images) > stress.most:
        some = Subset(images, torch.linspace(0, len(images) - 1, stress.most).long())
    return (
        attack(net, some, stress.attacks, device, stress.seed) if stress.attacks else None,
        corrupt(net, some, [known[name] for name in stress.corruptions], stress.severities, device, stress.seed)
        if stress.corruptions
        else None,
    )


def of_logits(found: Tensor, labels: Labels) -> Examination:
    """What logits (n, k) alone say, so that they may be kept in the place of the network."""
    classes = per_class(found, labels)
    return Examination(100 * sum(classes.right) / len(labels), classes, calibration(found, labels))
