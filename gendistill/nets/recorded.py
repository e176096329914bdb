"""A network's passes as CUDA graphs: recorded once, then launched as a whole.

A training step of a small student is some two hundred kernels of a few microseconds: launched one by one from Python, they take
several times as long as the GPU needs for them. `torch.cuda.make_graphed_callables` does the same, but its graphs and their memory
are freed by the garbage collector alone, long after a student is judged.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gendistill.types import Pixels

log = logging.getLogger("gendistill")
WORTH_STEPS = 100
"""Steps from which on recording, a dozen passes, pays."""
WARM = 3
"""Passes before those that are recorded: libraries choose and set up their kernels in them."""


class Tape:
    """Two graphs, there and back, and the tensors that they read and write."""

    def __init__(self, net: nn.Module, parameters: Sequence[Tensor], sample: Pixels) -> None:
        """Record the passes of the network on batches like the sample.

        Raises:
            RuntimeError: the network waits for the GPU on the way. Nothing is left half recorded, which torch takes badly.
        """
        self.shown = torch.zeros_like(sample)
        side, now = side_stream(sample.device), torch.cuda.current_stream(sample.device)

        def back(answer: Tensor, slope: Tensor) -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(answer, parameters, slope, allow_unused=True)

        side.wait_stream(now)
        try:
            with torch.cuda.stream(side):
                for number in range(WARM):
                    with waiting_forbidden() if number == WARM - 1 else nullcontext():
                        answer = 1 * net(
                            self.shown
                        )  # cuBLAS warns in a thread of autograd whose first kernel is its own
                        back(answer, torch.zeros_like(answer))
        finally:
            now.wait_stream(side)
        self.there, self.back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.there, stream=side, capture_error_mode="thread_local"):
            answer = net(self.shown)
        self.answer, self.slope = answer.detach(), torch.zeros_like(answer)
        pool = self.there.pool()
        with torch.cuda.graph(self.back, pool=pool, stream=side, capture_error_mode="thread_local"):
            self.slopes = back(answer, self.slope)


@cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which everything is recorded: libraries keep working memory for every stream they have seen."""
    return torch.cuda.Stream(device)


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    """While this lasts, to wait for the GPU is a RuntimeError."""
    mode = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings(action="ignore"):  # it says that it is a prototype
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


class Replay(torch.autograd.Function):
    """The passes of a tape, to autograd one operation on the pictures and the weights."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, pixels: Pixels, *parameters: Tensor) -> Tensor:
        """What the network answers; it holds until the next call."""
        ctx.tape = tape
        tape.shown.copy_(pixels)
        tape.there.replay()
        return tape.answer.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of the weights; the pictures get none."""
        ctx.tape.slope.copy_(slope)
        ctx.tape.back.replay()
        return None, None, *(None if one is None else one.detach() for one in ctx.tape.slopes)


def recorded(net: nn.Module, sample: Pixels) -> Callable[[Pixels], Tensor]:
    """The network as a function whose passes on batches like ``sample`` are replayed; on others it runs as ever.

    Only weights get gradients, once, which hold until the next backward pass. Weights may change in place; buffers and random
    streams are left as they were. What does not lie on the GPU stays as it is now: train or eval mode, autocast, hooks, random
    numbers of the interpreter. A network that waits for the GPU on the way, to look at its numbers, comes back as it is.
    """
    device, kept = sample.device, [one.clone() for one in net.buffers()]
    parameters = [one for one in net.parameters() if one.requires_grad]
    half, kind = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
    try:
        with (
            torch.random.fork_rng([device]),
            torch.cuda.device(device),
            torch.autocast(device.type, kind, enabled=half, cache_enabled=False),  # weights are cast in every replay
        ):
            tape = Tape(net, parameters, sample)
    except RuntimeError as error:
        log.info("%s is not recorded as CUDA graphs and runs kernel by kernel: %s", type(net).__name__, error)
        return net
    finally:
        with torch.no_grad():
            for one, before in zip(net.buffers(), kept, strict=True):
                one.copy_(before)

    def ask(pixels: Pixels) -> Tensor:
        if pixels.shape != tape.shown.shape:
            return net(pixels)
        return Replay.apply(tape, pixels, *parameters)  # pyright: ignore[reportReturnType]

    return ask
