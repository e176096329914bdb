"""What a student is put through: settings alone, so that a protocol can name them."""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.config.fields import nearest
from gendistill.evaluation.metrics.attacks import DD_ROBUSTBENCH, Attack
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS, SEVERITIES
from gendistill.types import UserError


@dataclass(frozen=True)
class Stress:
    """What a student is put through.

    attacks      none for no attack
    corruptions  by name; none for no corruption
    severities   of the corruptions, of 1 to 5
    most         pictures, evenly spaced over those there are; None for all. A student on a CPU takes minutes for a thousand
    seed         of what is random
    """

    attacks: tuple[Attack, ...] = DD_ROBUSTBENCH
    corruptions: tuple[str, ...] = tuple(one.name for one in CORRUPTIONS)
    severities: tuple[int, ...] = SEVERITIES
    most: int | None = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("attacks", "corruptions", "severities"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.most is not None and self.most < 1:
            raise UserError(f"most={self.most}: at least one picture is needed, or None for all")
        if not self.attacks and not self.corruptions:
            raise UserError("stress without an attack or a corruption is none: give some, or stress=None")
        names = list(map(str, self.attacks))
        if len(set(names)) < len(names):
            raise UserError(f"{', '.join(names)}: give each attack once; results call them so")
        known = [one.name for one in CORRUPTIONS]
        for name in self.corruptions:
            if name not in known:
                raise UserError(f"there is no corruption {name!r}{nearest(name, known)}\nthere are: {', '.join(known)}")
        if self.corruptions and (not self.severities or not set(self.severities) <= set(SEVERITIES)):
            raise UserError(f"severities={self.severities}: some of {SEVERITIES[0]} to {SEVERITIES[-1]}")
