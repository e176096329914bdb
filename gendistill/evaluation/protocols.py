"""How a set is judged: which student, trained how, how often. Protocols are values, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.nets.base import Net
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.schedules import CosineDecay, StepDecay
from gendistill.training import Training
from gendistill.types import UserError
from gendistill.views.siamese import Siamese


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to measure what a set is worth.

    name      as results call it
    student   the network that learns from the set
    training  how it learns
    sets      independent sets, each from a seed of its own
    students  per set, each from a seed of its own; the spread is over all (set, student) pairs
    full      how a student learns from all real pictures, once
    source    URL of the paper
    """

    name: str
    student: Net = ConvNet()
    training: Training = Training()
    sets: int = 1
    students: int = 5
    full: Training = Training(epochs=30, schedule=CosineDecay())
    source: str = ""

    def __post_init__(self) -> None:
        if self.sets < 1 or self.students < 1:
            raise UserError(
                f"a protocol needs sets >= 1 and students >= 1, got sets={self.sets}, students={self.students}"
            )


MATCHING = Protocol(
    name="matching line",
    source="https://arxiv.org/abs/2102.08259",
    training=Training(
        epochs=1000, batch=256, optimizer="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4, schedule=StepDecay()
    ),
)
"""Zhao & Bilen (DSA, ICML 2021): ConvNet-3, 1000 epochs, SGD, lr / 10 at half time, siamese augmentation; here last epoch."""

SCREENING = Protocol(
    name="screening",
    training=Training(
        epochs=1, least_steps=300, batch=128, optimizer="AdamW", lr=1e-3, weight_decay=0.01, schedule=CosineDecay()
    ),
    students=3,
    full=Training(epochs=10, batch=128, optimizer="AdamW", lr=1e-3, weight_decay=0.01, schedule=CosineDecay()),
)
"""This project's own: 300 steps of AdamW, to compare many sets in minutes on two cores."""

DIGITS = Protocol(
    name="digits",
    student=ConvNet(depth=3, width=32),
    training=Training(
        epochs=1, least_steps=200, batch=100, optimizer="AdamW", lr=3e-3, weight_decay=0.01, schedule=CosineDecay(),
        augment=Siamese(("crop", "scale", "rotate")),
    ),
    sets=5,
    students=1,
    full=Training(
        epochs=20, batch=100, optimizer="AdamW", lr=3e-3, weight_decay=0.01, schedule=CosineDecay(),
        augment=Siamese(("crop", "scale", "rotate")),
    ),
)  # fmt: skip
"""This project's own for the demo: a narrow ConvNet-3 that two cores train in seconds; digits are not flipped or recoloured."""

RESNET = Protocol(
    name="screening", student=ResNet(depth=18), training=SCREENING.training, students=3, full=SCREENING.full
)
"""The screening protocol with a ResNet-18 for small pictures."""
