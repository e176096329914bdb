"""Other ways to take a student's optimiser step, and to judge it, beside those that are taken: what pays, and what does not.

    python benchmarks/step_ways.py

A batch of 100 pictures of 32 px that is ready, a ConvNet-3, SGD; 512 pictures are judged at a time. "compiled" is
``torch.compile``, whose own seconds are told apart; "channels last" is how pictures and weights lie in memory; "three at once" are
three students in one call (``torch.func.vmap``), counted as a third of its time. Turns of all ways are interleaved, and each is
compared with plain float32 of the same round. On a GPU "passes recorded" is what trainings do (`gendistill.nets.recorded`), and
"step recorded" one CUDA graph of passes, loss and optimiser together (`whole_step.py`).
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from ledger import RESULTS, hardware
from pairs import middle, rounds, spent
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from whole_step import Recorder, WholeStep

from gendistill.learning.course import Criterion, Targets
from gendistill.learning.label_losses import Divergence
from gendistill.nets.base import Classifier, Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.recorded import WARM, WORTH_STEPS, recorded
from gendistill.system.environment import keep_memory
from gendistill.system.store import write_json

SHAPE = Shape(3, 32, 10, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PLAIN = "float32"
AT_ONCE = 3
"""Students of one call."""
JUDGED = 512
"""Pictures that are judged at a time."""
FEWER = (256, 128, 64)
"""So many of them at a time, each a divisor of `JUDGED`: their maps may fit a cache."""


def student(width: int, seed: int, device: torch.device) -> Classifier:
    """A new one."""
    return build(ConvNet(width=width), SHAPE, seed, device).train()


def sgd(net: Classifier) -> torch.optim.SGD:
    """As students are trained."""
    return torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=5e-4, fused=True)


def stepping(
    net: Classifier,
    pixels: Tensor,
    labels: Tensor,
    half: bool = False,
    ask: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[], None]:
    """A step of SGD; ``ask`` is called in the place of the network."""
    optimizer = sgd(net)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=half):
            logits = (net if ask is None else ask)(pixels)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def replayed(width: int, pixels: Tensor, labels: Tensor) -> Callable[[], None]:
    """A step of SGD as one CUDA graph."""
    net, targets, criterion = student(width, 0, pixels.device), Targets(labels), Criterion(Divergence(), 1.0, 0.0)
    step = WholeStep(net, sgd(net), half=False, steps=WORTH_STEPS)

    def again() -> None:
        step(pixels, targets, criterion)

    return again


def on_a_gpu(width: int, pixels: Tensor, labels: Tensor) -> dict[str, Callable[[], None]]:
    """The ways that a GPU has beside."""
    if pixels.device.type != "cuda":
        return {}
    net = student(width, 0, pixels.device)
    return {
        "float32, passes recorded": stepping(net, pixels, labels, ask=recorded(net, pixels)),
        "float32, step recorded": replayed(width, pixels, labels),
    }


def together(width: int, pixels: Tensor, labels: Tensor) -> Callable[[], None]:
    """A step of SGD with momentum of three students at once."""
    nets = [student(width, seed, pixels.device) for seed in range(AT_ONCE)]
    weights, buffers = stack_module_state([*nets])
    weights = {name: value.detach() for name, value in weights.items()}
    memory = {name: torch.zeros_like(value) for name, value in weights.items()}

    def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(functional_call(nets[0], (weights, buffers), (pixels,)), labels)

    slopes = vmap(grad(loss))

    def step() -> None:
        found = slopes(weights, buffers)
        names = list(weights)
        held, moved = [memory[name] for name in names], [weights[name] for name in names]
        torch._foreach_mul_(held, 0.9)
        torch._foreach_add_(held, torch._foreach_add([found[name] for name in names], moved, alpha=5e-4))
        torch._foreach_add_(moved, held, alpha=-0.01)

    return step


def judging(
    net: Classifier,
    pixels: Tensor,
    half: bool = False,
    ask: Callable[[Tensor], Tensor] | None = None,
    at_once: int = JUDGED,
) -> Callable[[], None]:
    """The classes that a student gives pictures, some at a time; ``ask`` is called in its place."""
    net.eval()

    @torch.no_grad()
    def judge() -> None:
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=half):
            for some in pixels.split(at_once):
                (net if ask is None else ask)(some).argmax(1)

    return judge


class JudgingRecorded:
    """The same as one CUDA graph of so many pictures, launched again and again. It holds the student, whose weights that reads."""

    def __init__(self, width: int, pixels: Tensor, at_once: int) -> None:
        """``at_once`` divides the number of pictures."""
        self.net, self.pixels, self.shown = student(width, 0, pixels.device).eval(), pixels, pixels[:at_once].clone()
        recorder = Recorder(pixels.device)
        for _ in range(WARM):
            recorder.rehearse(self.answer, strict=False)
        self.replay = recorder.record(self.answer)

    @torch.no_grad()
    def answer(self) -> Tensor:
        return self.net(self.shown).argmax(1)

    def __call__(self) -> None:
        for some in self.pixels.split(len(self.shown)):
            self.shown.copy_(some)
            self.replay()


def some(count: int, device: torch.device) -> Tensor:
    """So many pictures."""
    draws = torch.Generator().manual_seed(0)
    return torch.rand(count, *(SHAPE.channels, SHAPE.size, SHAPE.size), generator=draws).to(device)


def lying(width: int, device: torch.device) -> Classifier:
    """A student whose weights lie with channels last."""
    return student(width, 0, device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def judged(width: int, device: torch.device) -> dict[str, Callable[[], None]]:
    """Every way to judge by name; a call is a batch of test pictures."""
    pixels, compiled = some(JUDGED, device), student(width, 0, device).eval()
    last = pixels.to(memory_format=torch.channels_last)
    recording = (JUDGED, *FEWER) if device.type == "cuda" else ()
    return {
        PLAIN: judging(student(width, 0, device), pixels),
        "float32, channels last": judging(lying(width, device), last),
        "float32, compiled": judging(compiled, pixels, ask=torch.compile(compiled)),
        **{f"float32, {count} at a time": judging(student(width, 0, device), pixels, at_once=count) for count in FEWER},
        **{f"float32, {count} at a time, recorded": JudgingRecorded(width, pixels, count) for count in recording},
        "bfloat16": judging(student(width, 0, device), pixels, half=True),
        "bfloat16, channels last": judging(lying(width, device), last, half=True),
    }


def stepped(width: int, device: torch.device) -> dict[str, Callable[[], None]]:
    """Every way to step by name; a call is a step of one student, or of three."""
    pixels = some(100, device)
    labels = (torch.arange(100) % SHAPE.classes).to(device)
    last, compiled = pixels.to(memory_format=torch.channels_last), student(width, 0, device)
    return {
        PLAIN: stepping(student(width, 0, device), pixels, labels),
        "float32, channels last": stepping(lying(width, device), last, labels),
        "float32, compiled": stepping(compiled, pixels, labels, ask=torch.compile(compiled)),
        **on_a_gpu(width, pixels, labels),
        "float32, three at once": together(width, pixels, labels),
        "bfloat16": stepping(student(width, 0, device), pixels, labels, half=True),
        "bfloat16, channels last": stepping(lying(width, device), last, labels, half=True),
    }


def measured(known: dict[str, Callable[[], None]], steps: int, count: int, device: torch.device) -> dict[str, object]:
    """The time of every way by that of float32, CPU seconds, or those of the clock on a GPU."""
    clock = "cpu" if device.type == "cpu" else "wall"
    first = {name: spent(step)["wall"] for name, step in known.items()}

    def turn(name: str) -> Callable[[], float]:
        share = AT_ONCE if name.endswith("at once") else 1
        return lambda: spent(lambda: [known[name]() for _ in range(steps)])[clock] / share

    found = rounds({name: turn(name) for name in known}, count + 1)[1:]
    ratios = {name: middle([one[name] / one[PLAIN] for one in found]) for name in known if name != PLAIN}
    return {"ratios": ratios, "seconds of the first step": {name: round(value, 2) for name, value in first.items()}}


WHAT = {"step": stepped, f"batch of {JUDGED} that is judged": judged}


def table(what: str, found: dict[str, dict]) -> str:
    """The ratios as Markdown, of what was done at each width."""
    lines = [
        f"| time of a float32 {what} | {' | '.join(f'width {width}' for width in found)} |",
        "|---|" + "---|" * len(found),
    ]
    for name in next(iter(found.values()))["ratios"]:
        cells = []
        for width in found:
            one = found[width]["ratios"][name]
            low, high = one["95 % interval"]
            cells.append(f"{one['median time ratio']:.2f}, {low:.2f} to {high:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--steps", type=int, default=5, help="of a turn")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_memory()
    state = {
        "date": str(datetime.date.today()),
        "hardware": hardware(),
        "torch": torch.__version__.partition("+")[0],
        "rounds": given.rounds,
        "steps of a turn": given.steps,
    }
    for what, ways in WHAT.items():
        state[what] = {
            str(width): measured(ways(width, device), given.steps, given.rounds, device) for width in given.widths
        }
    name = "step-ways" + ("" if device.type == "cpu" else f"-{device.type}")
    write_json(Path(RESULTS) / f"{name}.json", state)
    print(json.dumps(state, indent=1), *(table(what, state[what]) for what in WHAT), sep="\n\n")


if __name__ == "__main__":
    main()
