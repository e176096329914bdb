"""What there is to know of a student beyond its accuracy: from one pass over the pictures, and from more under stress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gendistill.evaluation.metrics.attacks import DD_ROBUSTBENCH, Attack
from gendistill.evaluation.metrics.calibration import Bin, Calibration, calibration
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from gendistill.evaluation.metrics.per_class import PerClass, per_class
from gendistill.evaluation.metrics.robustness import Adversarial, Attacked, Corrupted, Worn, attack, corrupt
from gendistill.images import Subset
from gendistill.nets.logits import logits
from gendistill.types import Images, Labels, UserError


@dataclass(frozen=True)
class Stress:
    """What a student is put through.

    attacks      none for no attack
    corruptions  none for no corruption
    severities   of the corruptions, of 1 to 5
    most         pictures, evenly spaced over those there are; None for all. A student on a CPU takes minutes for a thousand
    seed         of what is random
    """

    attacks: tuple[Attack, ...] = DD_ROBUSTBENCH
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    severities: tuple[int, ...] = SEVERITIES
    most: int | None = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise UserError(f"most={self.most}: at least one picture is needed, or None for all")


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Examination:
        """The examination that `to_json` gave."""
        sure, hit, worn = value["calibration"], value["adversarial"], value["corrupted"]
        return cls(
            value["accuracy"],
            PerClass(tuple(map(tuple, value["per_class"]["confusion"]))),
            Calibration(**{**sure, "bins": tuple(Bin(**one) for one in sure["bins"])}),
            hit and Adversarial(**{**hit, "attacks": tuple(Attacked(**one) for one in hit["attacks"])}),
            worn
            and Corrupted(
                **{
                    **worn,
                    "severities": tuple(worn["severities"]),
                    "corruptions": tuple(
                        Worn(one["corruption"], tuple(one["accuracy"])) for one in worn["corruptions"]
                    ),
                }
            ),
        )


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
    some = images
    if stress.most is not None and len(images) > stress.most:
        some = Subset(images, torch.linspace(0, len(images) - 1, stress.most).long())
    return Examination(
        found.accuracy,
        found.per_class,
        found.calibration,
        attack(net, some, stress.attacks, device, stress.seed) if stress.attacks else None,
        corrupt(net, some, stress.corruptions, stress.severities, device, stress.seed) if stress.corruptions else None,
    )


def of_logits(found: Tensor, labels: Labels) -> Examination:
    """What logits (n, k) alone say, so that they may be kept in the place of the network."""
    classes = per_class(found, labels)
    right = sum(row[index] for index, row in enumerate(classes.confusion))
    return Examination(100 * right / len(labels), classes, calibration(found, labels))
