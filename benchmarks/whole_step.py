"""A candidate for how students are trained on a GPU: a whole optimiser step as one CUDA graph.

Trainings record the network's passes (`gendistill.nets.recorded`); loss and optimiser are launched kernel by kernel. Here all of
it is recorded, once for every shape of batch and every criterion, and Python is left with drawing a batch, copying it to where the
graph reads, and one launch. `evaluation_speed.py` times it beside ours where there is a GPU. None has run it so far, which is why
it is here and not in the package.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from unittest import mock

import torch
from torch import Tensor

from gendistill import training
from gendistill.course import Criterion, Told
from gendistill.nets.base import Classifier
from gendistill.nets.recorded import WARM, side_stream, waiting_forbidden
from gendistill.training import Step
from gendistill.types import Pixels

log = logging.getLogger("gendistill")
MOST = 8
"""Graphs of a training: a temperature that falls with every epoch would ask for as many."""


class Recorder:
    """Runs what is to be recorded, and records it, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        """A GPU."""
        self.device, self.side = device, side_stream(device)

    def rehearse(self, run: Callable[[], Tensor], strict: bool) -> Tensor:
        """Run it. Where ``strict``, to wait for the GPU is a RuntimeError."""
        now = torch.cuda.current_stream(self.device)
        self.side.wait_stream(now)
        try:
            with torch.cuda.stream(self.side), waiting_forbidden() if strict else nullcontext():
                return run()
        finally:
            now.wait_stream(self.side)

    def record(self, run: Callable[[], object]) -> Callable[[], None]:
        """What launches it again; it is not run now."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.side, capture_error_mode="thread_local"):
            run()
        return graph.replay


class WholeStep(Step):
    """Takes a training's steps: of every kind the first few as ever, those after them as one graph.

    The first ones are steps of the training like all others, in which libraries set up their kernels and the optimiser its state. A
    kind that waits for the GPU on the way, and any after the eighth, goes on with graphs of the passes alone.
    """

    def __init__(
        self, net: Classifier, optimizer: torch.optim.Optimizer, half: bool, steps: int,
        recorder: Callable[[torch.device], Recorder] = Recorder,
    ) -> None:  # fmt: skip
        """As a `Step`, and who records."""
        super().__init__(net, optimizer, half, steps)
        self.recorder = recorder(net.mean.device) if self.ask is None else None
        self.plain = Step(net, optimizer, half, 0)
        self.rates = [torch.tensor(float(group["lr"]), device=net.mean.device) for group in optimizer.param_groups]
        self.taken: Counter[object] = Counter()
        self.tapes: dict[object, Tape] = {}
        self.refused: set[object] = set()
        for group in optimizer.param_groups:
            if "capturable" in group and self.recorder is not None:
                group["capturable"] = net.mean.device.type == "cuda"

    def __call__(self, pixels: Pixels, told: Told, criterion: Criterion) -> Tensor:
        """Move the weights, and return the loss as it was before, which holds until the next step."""
        kind = (pixels.shape, layout(told), criterion)
        if self.recorder is None or kind in self.refused or (kind not in self.taken and len(self.taken) >= MOST):
            return super().__call__(pixels, told, criterion)
        if self.taken[kind] < WARM:
            return self.rehearsed(kind, self.recorder, pixels, told, criterion)
        if kind not in self.tapes:
            with self.rates_read():
                self.tapes[kind] = Tape(self.plain, self.recorder, pixels, told, criterion)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            rate.fill_(group["lr"])
        return self.tapes[kind](pixels, told)

    def rehearsed(self, kind: object, recorder: Recorder, pixels: Pixels, told: Told, criterion: Criterion) -> Tensor:
        """A step kernel by kernel. If the last before recording finds that this kind waits, it is taken again, as ever."""
        kept = [one.clone() for one in self.net.buffers()]
        last = self.taken[kind] == WARM - 1
        try:
            with self.rates_read():
                loss = recorder.rehearse(lambda: self.plain(pixels, told, criterion), strict=last)
        except RuntimeError as error:
            if not last:
                raise
            log.info("a step is not recorded whole: %s", error)
            self.refused.add(kind)
            with torch.no_grad():
                for one, before in zip(self.net.buffers(), kept, strict=True):
                    one.copy_(before)
            return super().__call__(pixels, told, criterion)
        self.taken[kind] += 1
        return loss

    @contextmanager
    def rates_read(self) -> Iterator[None]:
        """While this lasts the optimiser takes its learning rates from the device, where a schedule can change them."""
        groups = self.optimizer.param_groups
        said = [float(group["lr"]) for group in groups]
        for group, rate, value in zip(groups, self.rates, said, strict=True):
            group["lr"] = rate.fill_(value)
        try:
            yield
        finally:
            for group, value in zip(groups, said, strict=True):
                group["lr"] = value


class Tape:
    """A recorded step, and the tensors that it reads and writes."""

    def __init__(self, step: Step, recorder: Recorder, pixels: Pixels, told: Told, criterion: Criterion) -> None:
        """Record the step on batches like this one. It is not taken."""
        self.pixels, self.told = pixels.clone(), with_all(told, Tensor.clone)
        self.loss = torch.zeros((), device=pixels.device)
        self.replay = recorder.record(lambda: self.loss.copy_(step(self.pixels, self.told, criterion)))

    def __call__(self, pixels: Pixels, told: Told) -> Tensor:
        """Take the step, and return its loss."""
        self.pixels.copy_(pixels)
        for mine, given in zip(tensors(self.told), tensors(told), strict=True):
            mine.copy_(given)
        self.replay()
        return self.loss


def with_all(told: Told, change: Callable[[Tensor], Tensor]) -> Told:
    """The same with every tensor changed."""

    def each(part: Tensor | Told | None) -> Tensor | Told | None:
        if part is None:
            return None
        return change(part) if isinstance(part, Tensor) else with_all(part, change)

    return Told(**{one.name: each(getattr(told, one.name)) for one in fields(told)})  # type: ignore[arg-type]


def tensors(told: Told) -> list[Tensor]:
    """All that it holds, in order."""
    found: list[Tensor] = []
    with_all(told, lambda one: found.append(one) or one)
    return found


def layout(told: Told) -> tuple[object, ...]:
    """Shapes and kinds of all that it holds."""
    parts = (getattr(told, one.name) for one in fields(told))
    return tuple((part.shape, part.dtype) if isinstance(part, Tensor) else part and layout(part) for part in parts)


@contextmanager
def steps_recorded_whole() -> Iterator[None]:
    """While this lasts, trainings on a GPU record their steps so."""
    with mock.patch.object(training, "Step", WholeStep):
        yield
