"""Which epoch of an expert teaches a set of so many pictures best: measured on real pictures that no student sees.

"A label is worth a thousand images in dataset distillation" (Qin et al., NeurIPS 2024), https://arxiv.org/abs/2406.10485, finds
that the fewer the pictures, the earlier the expert. Random real pictures, labelled by each candidate, train a student each; it is
judged on training pictures that were held out from it. The experts are those that will label, so they saw all training pictures;
the test pictures are not opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.images import Subset, drawn, split
from gendistill.labelers.relabel import Relabel
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training, accuracy, train, training_work
from gendistill.nets.base import Classifier, Net, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.expert import Expert
from gendistill.nets.reference import Reference
from gendistill.nets.trained import Trained, passes, shape_of
from gendistill.types import Images, UserError
from gendistill.work import Work

CANDIDATES = 6
"""How many epochs are tried where none are named."""


@dataclass(frozen=True)
class ExpertByIPC(Reference):
    """The `Expert` of that epoch at which it teaches as many pictures per class as the recipe makes best.

    trained      the training of the expert
    candidates   epochs of it that are tried; none for six from the first to the last, each the same factor later
    student      who learns from the labels of each candidate
    training     how
    temperature  of the student's loss
    students     per candidate, each with pictures and weights of its own; their mean accuracy decides
    fraction     of the training pictures of each class that judge, at least one, in (0, 1)
    seed         of the pictures that are held out, and of the students
    """

    trained: Trained = Trained()
    candidates: tuple[int, ...] = ()
    student: Net = ConvNet()
    training: Training = Training(
        epochs=1, least_steps=300, batch=128, optimizer="AdamW", lr=1e-3, weight_decay=0.01, schedule=CosineDecay()
    )
    temperature: float = 1.0
    students: int = 3
    fraction: float = 0.1
    seed: int = 0
    looks_at_real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(self.candidates))
        for epoch in self.candidates:
            Expert(self.trained, epoch)
        if self.students < 1 or not 0 < self.fraction < 1 or self.temperature <= 0:
            raise UserError(
                f"ExpertByIPC needs students >= 1, a fraction in (0, 1) and a temperature above 0, got {self.students}, "
                f"{self.fraction} and {self.temperature}"
            )

    def chosen(self, context: Context) -> Expert:
        """The expert for the context's IPC."""
        return Expert(self.trained, 0 if context.dry else best_epoch(self, context.ipc, context))

    def load(self, context: Context) -> Classifier:
        """The chosen expert."""
        return self.chosen(context).load(context)

    def identity(self, context: Context) -> str:
        """That of the chosen expert, which is another for another IPC."""
        return self.chosen(context).identity(context)

    def unseen(self, context: Context) -> Images:
        """Those that the expert's training held out."""
        return self.trained.unseen(context)

    def origin(self, licence: str) -> dict[str, str]:
        """How the expert was trained, and how its epoch was chosen."""
        known = self.trained.origin(licence)
        return {**known, "name": f"{known['name']}, as it was when it taught held-out training pictures best"}

    def work(self, context: Context) -> Iterable[Work]:
        """The training of the expert, and that of every student."""
        yield from self.trained.work(context)
        count = min(context.ipc * len(context.real.classes), len(context.real.train))
        net = build(self.student, shape_of(context), 0, context.device)
        trainings = len(epochs(self, context)) * self.students
        for piece in training_work(net, Subset(context.real.train, torch.arange(count)), self.training, context.device):
            yield replace(piece, what="student", calls=trainings * piece.calls, shared=True, each="run")


def epochs(settings: ExpertByIPC, context: Context) -> tuple[int, ...]:
    """The epochs that are tried, ascending."""
    last = passes(settings.trained, context)
    spread = (round(last ** (number / (CANDIDATES - 1))) for number in range(CANDIDATES))
    return tuple(sorted(set(settings.candidates or spread)))


def best_epoch(settings: ExpertByIPC, ipc: int, context: Context) -> int:
    """The epoch whose labels of ``ipc`` random real pictures per class teach best; of equals the earliest."""
    found = scores(settings, ipc, context)
    return max(found, key=lambda epoch: (found[epoch], -epoch))


def scores(settings: ExpertByIPC, ipc: int, context: Context) -> Mapping[int, float]:
    """Mean accuracy in percent of the students of every candidate on the held-out pictures; each is kept in the store.

    Raises:
        UserError: a class has too few pictures to hold one out.
    """
    kept, held_out = split(context.real.train, settings.fraction, settings.seed, context.real.name)
    tried, numbers = epochs(settings, context), range(settings.students)
    found = {
        epoch: [_score(settings, epoch, number, ipc, kept, held_out, context) for number in numbers]
        for epoch in context.progress(tried, f"expert for ipc {ipc}", len(tried))
    }
    return {epoch: sum(several) / len(several) for epoch, several in found.items()}


def _score(
    settings: ExpertByIPC, epoch: int, number: int, ipc: int, kept: Images, held_out: Images, context: Context
) -> float:
    """Accuracy of one student of one candidate. The students of all candidates of a number begin alike, with equal pictures."""
    expert, seed = Expert(settings.trained, epoch), seeds.number(settings.seed, "expert by ipc", number)
    every = range(len(kept.classes))
    learned = Subset(kept, torch.cat([drawn(kept, index, ipc, seed, "pictures") for index in every]))
    key = {
        "set": learned.fingerprint, "held out": held_out.fingerprint, "expert": expert.identity(context), "seed": seed,
        "data": context.real.train.fingerprint, "student": repr(settings.student), "training": repr(settings.training),
        "temperature": settings.temperature, "device": context.device.type,
    }  # fmt: skip

    def run() -> dict[str, Tensor]:
        soft = Relabel((expert,), "logits", settings.temperature)(learned, context)
        net = build(settings.student, shape_of(context), seeds.number(seed, "student"), context.device)
        train(net, learned, settings.training, seeds.number(seed, "order"), context.device, soft=soft)
        return {"accuracy": torch.tensor(accuracy(net, held_out, context.device), dtype=torch.float64)}

    return float(context.store.tensors("experts", key, run)["accuracy"])
