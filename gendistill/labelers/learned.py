"""Labels that are learned: what all labelers share that move the labels of finished pictures until these teach the real ones.

Label distillation (Bohdal, Yang & Hospedales, 2020), https://arxiv.org/abs/2006.08572:

    Y = argmin  E_batch  loss( what is learned from the pictures and Y,  a batch of real pictures )

Labels are softmax Y, so that every step leaves probabilities. The authors clamp and normalise them instead, and begin at the same
label for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.context import Context
from gendistill.labelers.base import Labeler
from gendistill.labelers.codecs.base import Codec
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import EXACT, StaticLabels
from gendistill.learning.schedules import CosineDecay, RateSchedule
from gendistill.learning.training import real_reader
from gendistill.priors.training.balance import balanced
from gendistill.system.store import clear_parts, fingerprint, read_state, read_tensors, write_state, write_tensors
from gendistill.types import Diverged, Images, Labels, LogProbs, Pixels, RealData, SoftLabels, UserError
from gendistill.views.siamese import Siamese
from gendistill.work import Work

Judge: TypeAlias = Callable[[LogProbs, int], Tensor]
"""From the labels of all pictures and the number of a step to its loss, which is differentiable in the labels."""

SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class LearnedLabels(Labeler):
    """What the labelers that learn have in common.

    steps        of Adam on the labels
    batch        real pictures per step, of all classes equally; pictures of the set that are shown together
    lr           of the labels' logits
    schedule     how it falls
    start        who gives the labels to begin with, one a picture
    smoothing    share of them that is spread over all classes, in [0, 1): a class of probability 0 would never move
    augment      what happens to the pictures of the set whenever they are shown, as when a student learns them; None for nothing
    temperature  of the student's loss with these labels
    codec        how they are kept
    """

    steps: int = 1000
    batch: int = 256
    lr: float = 0.05
    schedule: RateSchedule = CosineDecay()
    start: Labeler = Hard()
    smoothing: float = 0.1
    augment: Siamese | None = Siamese()
    temperature: float = 1.0
    codec: Codec = EXACT

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.steps < 0 or self.batch < 1 or self.lr <= 0 or self.temperature <= 0:
            raise UserError(
                f"{name} needs steps >= 0, batch >= 1, lr > 0 and temperature > 0, got {self.steps}, {self.batch}, {self.lr} and "
                f"{self.temperature}"
            )
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing={self.smoothing} must be in [0, 1)")
        if self.smoothing == 0 and isinstance(self.start, Hard):
            raise UserError(f"{name} never moves a class of probability 0, as hard labels have: give smoothing above 0")

    @property
    def period(self) -> int:
        """Steps after which what is learned from the labels begins anew: only there a killed run goes on."""
        return 1

    @abstractmethod
    def bind(self, images: Images, context: Context) -> Judge:
        """How good the labels of these pictures are, by the real pictures of a step. Steps are asked for in their order."""

    def identity(self, context: Context) -> str:
        """What the labels follow from, beside what the settings say."""
        return ""

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """One label per picture; what a killed run has learned is not lost.

        Raises:
            UserError: the labels to begin with are of views, or hold a probability of 0.
            Diverged: a loss is not finite.
        """
        begin = self._begin(images, context)
        key = {
            "set": images.fingerprint, "begin": fingerprint(begin), "labeler": repr(replace(self, codec=EXACT)),
            "networks": self.identity(context), "data": context.real.train.fingerprint, "seed": context.seed,
            "place": context.place, "device": context.device.type,
        }  # fmt: skip
        folder = context.store.folder("learned labels", key, lambda place: self._learn(place, begin, images, context))
        found = read_tensors(folder / "labels.safetensors")["log_probs"]
        return StaticLabels.of(found, self.temperature, self.codec)

    def bytes(self, classes: int) -> int:
        """One label."""
        return self.codec.bytes(classes)

    def _begin(self, images: Images, context: Context) -> LogProbs:
        """Log-probabilities before the first step, (N, k) on the CPU."""
        soft = self.start(images, context)
        if soft.views is not None:
            raise UserError(
                f"{type(self).__name__} begins with one label per picture, and {self.start} gives views theirs"
            )
        given = soft.at(torch.arange(len(images))).float().exp()
        found = given.lerp(torch.full_like(given, 1 / given.shape[1]), self.smoothing).log()
        if not bool(torch.isfinite(found).all()):
            raise UserError(
                f"{self.start} gives some class the probability 0, which never moves: give smoothing above 0"
            )
        return found

    @torch.enable_grad()
    def _learn(self, folder: Path, begin: LogProbs, images: Images, context: Context) -> None:
        clear_parts(folder)
        state, judge = folder / "state.safetensors", self.bind(images, context)
        logits = begin.to(context.device).clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=self.lr)
        first, saved = read_state(state, {"logits": logits}, optimizer), monotonic()
        for step in context.progress(range(first, self.steps), "learn labels", self.steps - first):
            optimizer.param_groups[0]["lr"] = self.lr * self.schedule.factor(step / self.steps)
            loss = judge(logits.log_softmax(1), step)
            if not torch.isfinite(loss):
                raise Diverged(
                    f"the loss of {type(self).__name__} is {loss.item()} at step {step}: lower its learning rates"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if (step + 1) % self.period == 0 and monotonic() - saved > SAVE_EVERY_S:
                write_state(state, {"logits": logits}, optimizer, step + 1)
                saved = monotonic()
        if not bool(torch.isfinite(logits).all()):
            raise Diverged(
                f"the last step of {type(self).__name__} left labels that are not finite: lower its learning rates"
            )
        write_tensors(folder / "labels.safetensors", {"log_probs": logits.detach().log_softmax(1)})
        state.unlink(missing_ok=True)

    def check(self, data: RealData) -> None:
        """Raise `UserError` if there are no real pictures to learn from, or who gives the first labels cannot."""
        if not len(data.train):
            raise UserError(f"{type(self).__name__} learns labels from real pictures, and {data.name} has none")
        self.start.check(data)

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """What the first labels cost, and the steps."""
        yield from self.start.work(images, context)
        dry = context.anew(dry=True)
        labels = torch.zeros(len(images), len(images.classes), device=context.device)
        for what, calls, judge in self.pieces(images, dry):

            @torch.enable_grad()
            def once(judge: Judge = judge) -> None:
                judge((1 * labels.detach().requires_grad_()).log_softmax(1), 0).backward()

            yield Work(what, calls, once, rows=self.batch)

    def pieces(self, images: Images, context: Context) -> Iterable[tuple[str, float, Judge]]:
        """Kinds of steps by name: how many there are, and one of them. Nothing is trained."""
        yield "learn labels", self.steps, self.bind(images, context)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """Who gave the first labels, and that they were learned."""
        learned = {
            "name": f"labels learned by {type(self).__name__}",
            "licence": licence,
            "saw": "the training pictures",
        }
        return [*self.start.origins(licence), learned]


def real_batches(batch: int, context: Context) -> Callable[[int], tuple[Pixels, Labels]]:
    """A function from the number of a step to real training pictures, all classes equally often, and their classes; on the device.

    A batch follows from its number alone. Where it is smaller than the number of classes, these take turns.
    """
    read, labels = real_reader(context), context.real.train.labels
    by_class, counts = labels.argsort(stable=True), torch.bincount(labels)
    counts = counts[counts > 0].tolist()
    together = min(batch, len(counts))
    take = balanced(counts, together, seeds.number(context.seed, "learned labels"))
    count = batch // together * together

    def pick(step: int) -> tuple[Pixels, Labels]:
        positions = by_class[take(step * count, count)]
        return read(positions), labels[positions].to(context.device)

    return pick
