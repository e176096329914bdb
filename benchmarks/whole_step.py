"""Another way to train students on a GPU: a whole optimiser step as one CUDA graph. It is written and not measured.

Trainings record the network's passes (`gendistill.nets.recorded`); loss and optimiser are launched kernel by kernel. Here all of
it is recorded, once for every kind of step, and Python is left with drawing a batch, copying it to where the graph reads, and one
launch. `evaluation_speed.py` times it beside ours where there is a GPU. None has run it so far, which is why it is here and not in
the package.
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

from gendistill.learning import training
from gendistill.learning.course import Criterion, Targets
from gendistill.learning.training import Step
from gendistill.nets.base import Classifier
from gendistill.nets.recorded import WARM, side_stream, waiting_forbidden
from gendistill.types import Pixels

log = logging.getLogger("gendistill")
MOST = 8
"""Kinds of steps that a training tries to record: a temperature that falls with every epoch would ask for as many."""


class Recorder:
    """Runs what is to be recorded, and records it, on the stream that all recordings share."""

    def __init__(self, device: torch.device) -> None:
        """``device`` is a GPU."""
        self.device, self.side = device, side_stream(device)

    def rehearse(self, run: Callable[[], Tensor], strict: bool) -> Tensor:
        """Run it, and return what it does. Where ``strict``, to wait for the GPU is a RuntimeError."""
        now = torch.cuda.current_stream(self.device)
        self.side.wait_stream(now)
        try:
            with torch.cuda.stream(self.side), waiting_forbidden() if strict else nullcontext():
                return run()
        finally:
            now.wait_stream(self.side)

    def record(self, run: Callable[[], object]) -> Callable[[], None]:
        """What launches it again; it is not run now. Who calls that must hold all tensors that it reads, or writes outside."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device):
            with torch.cuda.graph(graph, stream=self.side, capture_error_mode="thread_local"):
                run()
        return graph.replay


class WholeStep(Step):
    """Takes a training's steps: of every kind the first few as ever, those after them as one graph.

    A kind is the shape of a batch, those of its targets, and a criterion. The first few are steps of the training like all others,
    in which libraries set up their kernels and the optimiser its state. A kind that waits for the GPU on the way goes on with
    graphs of the passes alone, and so does any after the eighth.

    Raises:
        RuntimeError: a step cannot be recorded for another reason, a copy between CPU and GPU, say. A process should end then.
    """

    recorder: Recorder | None
    """Who records; None where nothing is worth it."""

    def __init__(self, net: Classifier, optimizer: torch.optim.Optimizer, half: bool, steps: int) -> None:
        """As a `Step`."""
        super().__init__(net, optimizer, half, steps)
        self.recorder = Recorder(net.mean.device) if self.ask is None else None
        self.plain = Step(net, optimizer, half, 0)
        self.said = [float(group["lr"]) for group in optimizer.param_groups]
        self.rates = [torch.tensor(value, device=net.mean.device) for value in self.said]
        self.taken: Counter[object] = Counter()
        self.recorded: dict[object, RecordedStep] = {}
        self.refused: set[object] = set()
        for group in optimizer.param_groups:
            if "capturable" in group and self.recorder is not None:
                group["capturable"] = True

    def __call__(self, pixels: Pixels, targets: Targets, criterion: Criterion) -> Tensor:
        """Move the weights; return the mean loss before that, (), without gradient. It holds until the next step."""
        kind = (pixels.shape, layout(targets), criterion)
        if self.recorder is None or kind in self.refused or (kind not in self.taken and len(self.taken) >= MOST):
            return super().__call__(pixels, targets, criterion)
        if self.taken[kind] < WARM:
            return self.rehearsed(kind, self.recorder, pixels, targets, criterion)
        self.tell_rates()
        if kind not in self.recorded:
            with self.rates_read():
                self.recorded[kind] = RecordedStep(self.plain, self.recorder, pixels, targets, criterion)
        return self.recorded[kind](pixels, targets)

    def rehearsed(
        self, kind: object, recorder: Recorder, pixels: Pixels, targets: Targets, criterion: Criterion
    ) -> Tensor:
        """A step kernel by kernel. If the last of them finds that this kind waits, it is taken again, as ever."""
        self.taken[kind] += 1
        last = self.taken[kind] == WARM
        put_back = kept(self.net) if last else None
        self.tell_rates()
        try:
            with self.rates_read():
                return recorder.rehearse(lambda: self.plain(pixels, targets, criterion), strict=last)
        except RuntimeError as error:
            if put_back is None:
                raise
            log.info("a step is not recorded whole: %s", error)
        # Not in the handler: what it caught holds the pass that failed, and autograd's nodes of the side stream with it.
        self.refused.add(kind)
        put_back()
        return super().__call__(pixels, targets, criterion)

    def tell_rates(self) -> None:
        """Write the learning rates to where graphs read them, as far as a schedule changed them."""
        for index, group in enumerate(self.optimizer.param_groups):
            if group["lr"] != self.said[index]:
                self.said[index] = group["lr"]
                self.rates[index].fill_(group["lr"])

    @contextmanager
    def rates_read(self) -> Iterator[None]:
        """While this lasts the optimiser takes its learning rates from there."""
        groups = self.optimizer.param_groups
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, value in zip(groups, self.said, strict=True):
                group["lr"] = value


class RecordedStep:
    """A step as a graph, and the tensors that it reads and writes."""

    def __init__(self, step: Step, recorder: Recorder, pixels: Pixels, targets: Targets, criterion: Criterion) -> None:
        """Record the step on batches like this one. It is not taken."""
        self.pixels, self.targets = pixels.clone(), with_all(targets, Tensor.clone)
        self.held = tensors(self.targets)
        self.loss = torch.zeros((), device=pixels.device)
        self.replay = recorder.record(lambda: self.loss.copy_(step(self.pixels, self.targets, criterion)))

    def __call__(self, pixels: Pixels, targets: Targets) -> Tensor:
        """Take the step, and return its loss."""
        self.pixels.copy_(pixels)
        for mine, given in zip(self.held, tensors(targets), strict=True):
            mine.copy_(given)
        self.replay()
        return self.loss


def kept(net: Classifier) -> Callable[[], None]:
    """What puts the network's buffers and the streams of random numbers back to where they are now."""
    device, here = net.mean.device, torch.get_rng_state()
    there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    buffers = [one.clone() for one in net.buffers()]

    @torch.no_grad()
    def put_back() -> None:
        torch.set_rng_state(here)
        if there is not None:
            torch.cuda.set_rng_state(there, device)
        for one, before in zip(net.buffers(), buffers, strict=True):
            one.copy_(before)

    return put_back


def with_all(targets: Targets, change: Callable[[Tensor], Tensor]) -> Targets:
    """The same with every tensor changed."""

    def each(part: Tensor | Targets | None) -> Tensor | Targets | None:
        if part is None:
            return None
        return change(part) if isinstance(part, Tensor) else with_all(part, change)

    return Targets(**{one.name: each(getattr(targets, one.name)) for one in fields(targets)})  # type: ignore[arg-type]


def tensors(targets: Targets) -> list[Tensor]:
    """All that they hold, in order."""
    parts = [getattr(targets, one.name) for one in fields(targets)]
    return [
        one for part in parts if part is not None for one in ([part] if isinstance(part, Tensor) else tensors(part))
    ]


def layout(targets: Targets) -> tuple[object, ...]:
    """Which of its parts there are, and their shapes and dtypes."""
    parts = [getattr(targets, one.name) for one in fields(targets)]
    return tuple((part.shape, part.dtype) if isinstance(part, Tensor) else part and layout(part) for part in parts)


@contextmanager
def steps_recorded_whole() -> Iterator[None]:
    """While this lasts, trainings on a GPU record their steps so."""
    with mock.patch.object(training, "Step", WholeStep):
        yield
