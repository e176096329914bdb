"""How much each teacher of an ensemble counts, and how sure it is taken to be, by real pictures that it did not see.

Weights    w_m = softmax_m(accuracy in percent / scale)       CV-DD (Cui et al., 2025), https://arxiv.org/abs/2501.07575
Softening  z_m / T_m,  T_m the temperature that calibrates the teacher (Guo et al., ICML 2017), https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.nets import trained
from gendistill.nets.logits import logits
from gendistill.nets.reference import Reference
from gendistill.nets.temperature import fit_temperature
from gendistill.types import UserError


@dataclass(frozen=True)
class ByAccuracy:
    """Better teachers count more.

    scale  percentage points of accuracy that make a factor of e
    """

    scale: float = 10.0

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise UserError(f"scale={self.scale} percentage points must be above 0")

    def find(self, teachers: Sequence[Reference], context: Context) -> Tensor:
        """Weights that add up to 1, (teachers,)."""
        return (torch.tensor([accuracy(one, context) for one in teachers]) / self.scale).softmax(0)


@dataclass(frozen=True)
class Calibrated:
    """Each teacher at the temperature at which it is as sure as it is right."""

    def find(self, teachers: Sequence[Reference], context: Context) -> Tensor:
        """What the logits are divided by, (teachers,)."""
        return torch.tensor([fit_temperature(*said(one, context)) for one in teachers])


Weights: TypeAlias = tuple[float, ...] | ByAccuracy
Softening: TypeAlias = tuple[float, ...] | Calibrated


def said(teacher: Reference, context: Context) -> tuple[Tensor, Tensor]:
    """Logits (n, k) and classes (n,) of the real pictures it did not see, kept in the store."""
    unseen = teacher.unseen(context)
    key = {"teacher": teacher.identity(context), "pictures": unseen.fingerprint, "device": context.device.type}

    def ask() -> dict[str, Tensor]:
        return {"logits": logits(trained.load(teacher, context), unseen, context.device)}

    return context.store.tensors("held out", key, ask)["logits"], unseen.labels


def accuracy(teacher: Reference, context: Context) -> float:
    """In percent, on the real pictures it did not see."""
    found, labels = said(teacher, context)
    return 100 * float((found.argmax(1) == labels).float().mean())


def numbers(
    given: tuple[float, ...] | ByAccuracy | Calibrated, teachers: Sequence[Reference], context: Context
) -> Tensor:
    """As given, found on real pictures, or one for each where nothing is given."""
    if context.dry or given == ():
        return torch.ones(len(teachers))
    return torch.tensor(given) if isinstance(given, tuple) else given.find(teachers, context)


def check(name: str, given: tuple[float, ...] | ByAccuracy | Calibrated, teachers: Sequence[Reference]) -> None:
    """Raise `UserError` where numbers given by hand do not fit the teachers."""
    if isinstance(given, tuple) and given and (len(given) != len(teachers) or min(given) <= 0):
        raise UserError(f"{name}={given}: one number above 0 for each of {len(teachers)} teachers")
