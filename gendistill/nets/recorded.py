"""A network's passes as CUDA graphs: recorded once, then launched as a whole.

A training step of a small student is some two hundred kernels of a few microseconds: launched one by one from Python, they take
several times as long as the GPU needs for them. `torch.cuda.make_graphed_callables` does the same, but its graphs and their memory
are freed by the garbage collector alone, long after a student is judged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gendistill.types import Pixels

log = logging.getLogger("gendistill")
WORTH_STEPS = 100
"""Steps from which on recording, a dozen passes, pays."""
WARM = 3
"""Passes before those that are recorded: libraries choose and set up their kernels in them."""


class Tape:
    """Two graphs, there and back, and the tensors that they read and write."""

    def __init__(self, net: nn.Module, parameters: Sequence[Tensor], sample: Pixels) -> None:
        """Record the passes of the network on batches like the sample. Nothing else may use the GPU meanwhile."""
        self.shown = torch.zeros_like(sample)
        side, now = torch.cuda.Stream(sample.device), torch.cuda.current_stream(sample.device)
        side.wait_stream(now)
        with torch.cuda.stream(side):
            for _ in range(WARM):
                answer = net(self.shown)
                torch.autograd.grad(answer, parameters, torch.zeros_like(answer), allow_unused=True)
        now.wait_stream(side)
        self.there, self.back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.there, stream=side, capture_error_mode="thread_local"):
            answer = net(self.shown)
        self.answer, self.slope = answer.detach(), torch.zeros_like(answer)
        pool = self.there.pool()
        with torch.cuda.graph(self.back, pool=pool, stream=side, capture_error_mode="thread_local"):
            self.slopes = torch.autograd.grad(answer, parameters, self.slope, allow_unused=True)


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
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of the weights; the pictures get none."""
        ctx.tape.slope.copy_(slope)
        ctx.tape.back.replay()
        return None, None, *(None if one is None else one.detach() for one in ctx.tape.slopes)


def recorded(net: nn.Module, sample: Pixels) -> Callable[[Pixels], Tensor]:
    """The network as a function whose passes on batches like ``sample`` are replayed; on others it runs as ever.

    Only weights get gradients, which hold until the next backward pass. Weights may change in place; buffers and random streams are
    left as they were. Whether autocast is on counts now. A network that looks at its numbers on the way cannot be recorded, and
    comes back as it is.
    """
    device, kept = sample.device, [one.clone() for one in net.buffers()]
    parameters, stream = [one for one in net.parameters() if one.requires_grad], torch.cuda.current_stream(device)
    half, kind = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
    try:
        with (
            torch.random.fork_rng([device]),
            torch.cuda.device(device),
            torch.autocast(device.type, kind, enabled=half, cache_enabled=False),  # weights are cast in every replay
        ):
            tape = Tape(net, parameters, sample)
    except RuntimeError as error:
        torch.cuda.set_stream(stream)  # a recording that fails leaves its own behind
        log.info("%s cannot be recorded as CUDA graphs and runs kernel by kernel: %s", type(net).__name__, error)
        return net
    finally:
        with torch.no_grad():
            for one, before in zip(net.buffers(), kept, strict=True):
                one.copy_(before)

    def ask(pixels: Pixels) -> Tensor:
        if pixels.shape != sample.shape:
            return net(pixels)
        return Replay.apply(tape, pixels, *parameters)  # pyright: ignore[reportReturnType]

    return ask
