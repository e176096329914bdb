r"""Our evaluation beside DD-Ranking's loop, a loader loop and the bare steps: same pictures, student, optimiser and epochs.

    python benchmarks/evaluation_speed.py --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' \
        --ddranking-python PYTHON

PYTHON is that of an environment with ``ddranking`` from PyPI and the same torch. In every round each of them has one turn, in an
order drawn anew; what a turn took is said in CPU seconds, which other work on the machine disturbs little, and in seconds of the
clock. Ratios are of turns of one round. On a CPU all keep to one thread. On a GPU the clock is what counts, in longer turns:

    ... --device cuda --width 128 --steps 200 --judged 10000 --views 100 --rounds 6 --name evaluation_speed-cuda-128
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from ledger import RESULTS, hardware
from pairs import middle, rounds, spent
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from whole_step import steps_recorded_whole

from gendistill.context import Context, channel_statistics
from gendistill.data.parquet import Parquet
from gendistill.evaluation.comparing.significance import paired
from gendistill.images import StoredImages
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training, accuracy, train
from gendistill.nets.base import Classifier, Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.nets.recorded import WORTH_STEPS
from gendistill.system.environment import MALLOC_OPTIONS, cores, keep_memory, versions
from gendistill.system.store import Store, write_json
from gendistill.types import Images, RealData
from gendistill.views.numbered import Views

CPU = torch.device("cpu")
Taken = Mapping[str, float]
WORKERS = sorted({0, max(1, cores() // 8), max(1, cores() // 4), max(2, cores() // 2)})
"""Processes that load, of the loader loops: none, or an eighth, a quarter and half of the cores."""
NUMBERED, WHOLE = "ours, numbered views with CutMix", "ours, steps recorded whole"
JUDGE_BATCH = 512
"""Test pictures that are judged at a time."""
WIDE = 128
"""Channels of the field's student."""
KEPT = dict(zip(("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"), MALLOC_OPTIONS, strict=True))
"""What `keep_memory` sets, by the names under which a process takes it from its environment."""


@dataclass(frozen=True)
class Task:
    """What all of them are given.

    images, test  what is learned from, and what is judged
    shape         of pictures and classes
    width         channels of the student, and of the teacher
    training      how it is trained, one turn long
    device        where
    workers       processes that load, of each loader loop
    judged        test pictures of a turn of judging
    views         of every picture, in a turn of relabelling
    """

    images: StoredImages
    test: StoredImages
    shape: Shape
    width: int
    training: Training
    device: torch.device
    workers: Sequence[int]
    judged: int
    views: int

    @property
    def depth(self) -> int:
        """Blocks of the student."""
        return int(math.log2(self.shape.size)) - 2

    def student(self, seed: int) -> Classifier:
        """A new student."""
        return build(ConvNet(depth=self.depth, width=self.width), self.shape, seed, self.device)


def opened(given: argparse.Namespace, ipc: int = 10) -> Task:
    """The first pictures of every class."""
    source = Parquet(given.train, test=given.test, size=given.size).open()
    assert source.test is not None
    real, test = source.train, source.test()
    images, judged = stored(real, torch.cat([real.where(i)[:ipc] for i in range(len(real.classes))])), whole(test)
    told = channel_statistics(real, at_most=5000)
    shape = Shape(
        real.shape[0], given.size, len(real.classes), tuple(told["mean"].tolist()), tuple(told["std"].tolist())
    )
    training = Training(epochs=given.steps, batch=len(images))
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.device(auto if given.device == "auto" else given.device)
    return Task(images, judged, shape, given.width, training, where, given.workers, given.judged, given.views)


def stored(images: Images, positions: torch.Tensor) -> StoredImages:
    """Some pictures, in memory."""
    return StoredImages(images.classes, images.labels[positions], images.stored(positions))


def whole(images: Images) -> StoredImages:
    """All of them."""
    return stored(images, torch.arange(len(images)))


def ready(images: Images, where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """All pictures as a network takes them, and their classes."""
    return images.pixels(range(len(images)), where), images.labels.to(where)


def cpu() -> float:
    """CPU seconds of this process and those that load for it."""
    others = (child.cpu_times() for child in psutil.Process().children())
    return time.process_time() + sum(one.user + one.system for one in others)


def turn(prepare: Callable[[], Callable[[], object]]) -> Callable[[], Taken]:
    """Tells what a run takes; what it is given is made before the clock starts."""
    return lambda: spent(prepare(), cpu)


def ours(task: Task, **settings: Any) -> Callable[[], Taken]:
    """A turn of `gendistill.learning.training.train`."""
    training, numbers = replace(task.training, **settings), itertools.count()

    def prepare() -> Callable[[], object]:
        seed = next(numbers)
        net = task.student(seed)
        return lambda: train(net, task.images, training, seed, task.device)

    return turn(prepare)


def records(task: Task) -> bool:
    """Whether its trainings are recorded."""
    return task.device != CPU and task.training.epochs >= WORTH_STEPS


def recorded_whole(ours: Callable[[], Taken]) -> Callable[[], Taken]:
    """The same turn with steps that are recorded whole."""

    def run() -> Taken:
        with steps_recorded_whole():
            return ours()

    return run


def evaluations(task: Task, peer: DDRanking) -> dict[str, Callable[[], Taken]]:
    """Turns of a training, as long as those of training alone, and of judging the student after it."""
    some, numbers = stored(task.test, torch.arange(task.judged)), itertools.count()

    def prepare() -> Callable[[], object]:
        seed = next(numbers)
        net = task.student(seed)
        return lambda: accuracy(
            train(net, task.images, task.training, seed, task.device), some, task.device, JUDGE_BATCH
        )

    known = turn(prepare)
    return {
        "ours": known,
        WHOLE: recorded_whole(known),
        "DD-Ranking": lambda: peer.ask("evaluate", epochs=task.training.epochs),
    }


def floor(task: Task) -> Callable[[], Taken]:
    """The same optimiser steps on one batch that is in memory as the network takes it: nothing is loaded, nothing augmented."""
    pixels, labels = ready(task.images, task.device)

    def prepare() -> Callable[[], None]:
        net = task.student(0).train()

        def run() -> None:
            optimizer = sgd(net, task.training)
            for _ in range(task.training.epochs):
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(net(pixels), labels).backward()
                optimizer.step()

        return run

    return turn(prepare)


def sgd(net: Classifier, training: Training) -> torch.optim.Optimizer:
    """Ours, as anyone would write it."""
    return torch.optim.SGD(
        net.parameters(), training.lr, training.momentum, weight_decay=training.weight_decay, fused=True
    )


class InMemory(Dataset):
    """Pictures in memory, each of them changed when it is asked for."""

    def __init__(self, images: StoredImages, change: Callable[[torch.Tensor], object]) -> None:
        self.pictures, self.labels, self.change = images.stored(range(len(images))), images.labels.tolist(), change

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[object, int]:
        return self.change(self.pictures[index]), self.labels[index]


def nearest_to_dsa(shape: Shape) -> v2.Compose:
    """One of DSA's six operations for each picture, as near as torchvision's own come to them."""
    fill = [round(255 * one) for one in shape.mean]
    side, eighth = shape.size, int(shape.size / 8 + 0.5)
    return v2.Compose(
        [
            v2.RandomChoice(
                [
                    v2.ColorJitter(brightness=0.25, contrast=(0.5, 1.5), saturation=(0.0, 2.0)),
                    v2.RandomCrop(side, padding=eighth, fill=fill),
                    v2.RandomErasing(1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0), value=fill),
                    v2.RandomHorizontalFlip(),
                    v2.RandomAffine(0, scale=(1 / 1.2, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
                    v2.RandomRotation(15, interpolation=v2.InterpolationMode.BILINEAR),
                ]
            ),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def loader(task: Task, data: Dataset, workers: int, batch: int, shuffle: bool = True) -> DataLoader:
    """A loader whose processes, if any, have started. Its batches lie where a GPU can fetch them itself, if there is one."""
    made = DataLoader(
        data, batch, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=task.device.type == "cuda",
    )  # fmt: skip
    for _ in made:
        pass
    return made


def sent(batches: Iterable[Sequence[torch.Tensor]], where: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches on the device; nobody waits until they are there."""
    for pixels, labels in batches:
        yield pixels.to(where, non_blocking=True), labels.to(where, non_blocking=True)


def learned(net: Classifier, batches: DataLoader, training: Training) -> Classifier:
    """A plain training loop, and the network after it."""
    optimizer = sgd(net.train(), training)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, training.epochs // 2)
    for _ in range(training.epochs):
        for pixels, labels in sent(batches, net.mean.device):
            loss = F.cross_entropy(net(pixels), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        schedule.step()
    return net.eval()


def plain(task: Task, workers: int) -> Callable[[], Taken]:
    """A turn of the plain loop; its processes last from turn to turn."""
    batches = loader(task, InMemory(task.images, nearest_to_dsa(task.shape)), workers, task.training.batch)

    def prepare() -> Callable[[], object]:
        net = task.student(0)
        return lambda: learned(net, batches, task.training)

    return turn(prepare)


def judges(task: Task) -> dict[str, Callable[[], Taken]]:
    """Turns of judging a student on test pictures, but DD-Ranking's."""
    some = stored(task.test, torch.arange(task.judged))
    data = InMemory(some, v2.ToDtype(torch.float32, scale=True))
    net = task.student(0).eval()
    pixels, labels = (one.split(JUDGE_BATCH) for one in ready(some, task.device))

    def share(batches: Iterable[Sequence[torch.Tensor]]) -> float:
        with torch.no_grad():
            return int(sum((net(pixels).argmax(1) == labels).sum() for pixels, labels in batches)) / task.judged

    def looped(workers: int) -> Callable[[], Taken]:
        batches = loader(task, data, workers, JUDGE_BATCH, shuffle=False)
        return turn(lambda: lambda: share(sent(batches, task.device)))

    return {
        "ours": turn(lambda: lambda: accuracy(net, some, task.device, JUDGE_BATCH)),
        "floor": turn(lambda: lambda: share(zip(pixels, labels, strict=True))),
        **{f"loader, {workers} workers": looped(workers) for workers in task.workers},
    }


class DDRanking:
    """DD-Ranking in a process of its own."""

    def __init__(self, python: str, given: Path, keeps: bool = True) -> None:
        """``keeps`` makes the process keep freed memory, as ours does."""
        kept = {name: str(value) for name, (_, value) in KEPT.items()} if keeps else {}
        command = [python, str(Path(__file__).with_name("ddranking_loop.py")), str(given)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **kept}
        )

    def ask(self, what: str, **more: object) -> Any:
        """What it answers."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"what": what, **more}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End the process: processes that load hold its input open, so that it would wait for ever."""
        self.process.terminate()
        self.process.wait()


def write_set(task: Task, path: Path) -> None:
    """The same pictures as DD-Ranking's loader makes them: floating-point numbers, normalised."""
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (task.shape.mean, task.shape.std))
    (pictures, labels), (test, test_labels) = (ready(images, CPU) for images in (task.images, task.test))
    test = (test - mean) / std
    torch.save(
        {
            "pictures": (pictures - mean) / std, "labels": labels, "judged": test[: task.judged],
            "judged_labels": test_labels[: task.judged], "judge_batch": JUDGE_BATCH, "test": test,
            "test_labels": test_labels, "classes": task.shape.classes, "width": task.width, "depth": task.depth,
            "batch": task.training.batch, "lr": task.training.lr, "momentum": task.training.momentum,
            "weight_decay": task.training.weight_decay, "device": task.device.type,
        },
        path,
    )  # fmt: skip


def relabelling(task: Task, folder: Path) -> dict[str, Callable[[], Taken]]:
    """Turns of labelling views by one teacher: ours, a loader loop that keeps what FKD keeps, and the teacher's passes alone."""
    teacher = build(ConvNet(depth=task.depth, width=task.width, norm="batch"), task.shape, 0, task.device).eval()
    context = Context(
        RealData("set", task.images, None), Store(folder), task.device, torch.float32, seed=0, ipc=1,
        block=len(task.images),
    )  # fmt: skip
    labeler = RelabelViews((teacher,), average="logits", count=task.views)
    pixels, numbers = ready(task.images, task.device)[0], itertools.count()

    def prepare() -> Callable[[], object]:
        unseen = replace(labeler, views=Views(seed=next(numbers)))  # labels that were made once are kept
        return lambda: unseen(task.images, context)

    def passes() -> None:
        with torch.no_grad():
            for _ in range(task.views):
                teacher(pixels)

    return {
        "ours": turn(prepare),
        "floor": turn(lambda: passes),
        **{f"loader, {workers} workers": fkd(task, teacher, folder, workers) for workers in task.workers},
    }


def box_and_flip(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A random part of a picture, mirrored or not, and what says so."""
    box = v2.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3])
    flipped = bool(torch.rand(1) < 0.5)
    seen = v2.functional.resized_crop(picture, *box, list(picture.shape[1:]), antialias=False)
    seen = v2.functional.horizontal_flip(seen) if flipped else seen
    return v2.functional.to_dtype(seen, torch.float32, scale=True), torch.tensor([*box, flipped])


def fkd(task: Task, teacher: Classifier, folder: Path, workers: int) -> Callable[[], Taken]:
    """A turn of a loader loop that labels views: for every batch a file of boxes, flips, partners, the box of CutMix and logits."""
    batches = loader(task, InMemory(task.images, box_and_flip), workers, task.training.batch)
    side, file = task.shape.size, folder / f"fkd-{workers}.pt"
    area = torch.distributions.Beta(1.0, 1.0)

    def run() -> None:
        for _ in range(task.views):
            for (pixels, told), _ in batches:
                pixels = pixels.to(task.device, non_blocking=True)
                partners, half = torch.randperm(len(pixels)), int(side * math.sqrt(1 - float(area.sample())) / 2)
                y, x = torch.randint(side, (2,)).tolist()
                top, bottom, left, right = max(y - half, 0), min(y + half, side), max(x - half, 0), min(x + half, side)
                others = partners.to(task.device, non_blocking=True)
                pixels[:, :, top:bottom, left:right] = pixels[others, :, top:bottom, left:right]
                with torch.no_grad():
                    logits = teacher(pixels).half().cpu()
                torch.save([told, partners, (top, bottom, left, right), logits], file)

    return turn(lambda: run)


def compared(found: Sequence[Mapping[str, Taken]], base: str = "ours") -> dict[str, Any]:
    """The time of ``base`` over that of each of the others, in CPU seconds and by the clock."""
    others = [name for name in found[0] if name != base]
    return {
        f"{base} / {other}": {
            clock: middle([one[base][clock] / one[other][clock] for one in found]) for clock in ("cpu", "wall")
        }
        for other in sorted(others)
    }


def only(found: Sequence[Mapping[str, Taken]], *names: str) -> list[dict[str, Taken]]:
    """Turns of these alone."""
    return [{name: one[name] for name in names} for one in found]


def told(found: Mapping[str, Sequence[float]], ours_: str, theirs: str) -> dict[str, Any]:
    """Accuracies of two loops, seed by seed."""
    apart = paired(found[ours_], found[theirs])
    return {
        ours_: found[ours_], theirs: found[theirs], "difference in points": apart.mean,
        "95 % interval": [apart.t.low, apart.t.high], "n": apart.n,
    }  # fmt: skip


def accuracies(task: Task, peer: DDRanking, seeds: int, folder: Path) -> dict[str, Any]:
    """Accuracies after whole trainings by each loop; students of one seed begin with the same weights."""
    batches = loader(task, InMemory(task.images, nearest_to_dsa(task.shape)), 0, task.training.batch)
    found: dict[str, list[float]] = {"ours": [], "DD-Ranking": [], "loader": []}
    for seed in range(seeds):
        weights = folder / "weights.pt"
        torch.save([one.detach().cpu() for one in task.student(seed).parameters()], weights)
        found["ours"].append(trained(task, seed))
        asked = {"seed": seed, "weights": str(weights), "epochs": task.training.epochs}
        found["DD-Ranking"].append(peer.ask("accuracy", **asked))
        torch.manual_seed(seed)
        found["loader"].append(accuracy(learned(task.student(seed), batches, task.training), task.test, task.device))
        if records(task):
            with steps_recorded_whole():
                found.setdefault(WHOLE, []).append(trained(task, seed))
        print(seed, {name: round(values[-1], 2) for name, values in found.items()}, flush=True)
    return {other: told(found, "ours", other) for other in found if other != "ours"}


def trained(task: Task, seed: int, **settings: Any) -> float:
    """Accuracy of one of our students."""
    net = train(task.student(seed), task.images, replace(task.training, **settings), seed, task.device)
    return accuracy(net, task.test, task.device)


def in_half(task: Task, given: argparse.Namespace) -> dict[str, Any]:
    """Ours in bfloat16 beside ours, in time for both widths and in accuracy for the wide one. Turns are shorter on a CPU."""
    found: dict[str, Any] = {}
    steps = max(2, given.steps // 4) if task.device == CPU else given.steps
    for width, count in {task.width: given.rounds, WIDE: max(1, given.rounds // 2)}.items():
        sized = replace(task, width=width, training=replace(task.training, epochs=steps))
        turns = {"bfloat16": ours(sized, mixed_precision="bf16"), "float32": ours(sized)}
        found[f"width {width}"] = compared(after_one(turns, count), "bfloat16")["bfloat16 / float32"]
        print("bfloat16", width, json.dumps(found), flush=True)
    wide = replace(task, width=WIDE, training=replace(task.training, epochs=given.epochs))
    kinds = {"bfloat16": "bf16", "float32": "no"}
    reached = {
        name: [trained(wide, seed, mixed_precision=kind) for seed in range(given.half_seeds)]
        for name, kind in kinds.items()
    }
    found["accuracy"] = told(reached, *kinds)
    return found


def after_one(turns: Mapping[str, Callable[[], Taken]], count: int) -> list[dict[str, Taken]]:
    """Rounds, after one that does not count."""
    return rounds(turns, count + 1)[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--train", "--test", "--ddranking-python"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--size", type=int, default=32, help="side of the pictures")
    parser.add_argument("--width", type=int, default=32, help="of the student")
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps of a turn")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=100, help="of the trainings whose accuracies are compared")
    parser.add_argument("--seeds", type=int, default=10, help="trainings by each loop")
    parser.add_argument("--half-seeds", type=int, default=5, help="trainings in bfloat16")
    parser.add_argument("--judged", type=int, default=1000, help="test pictures of a turn of judging")
    parser.add_argument("--views", type=int, default=10, help="of every picture, in a turn of relabelling")
    parser.add_argument(
        "--workers", type=int, nargs="*", default=WORKERS, help="processes of each loader; none for no loader"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument("--name", default="evaluation_speed", help="of the file of results")
    given = parser.parse_args()
    task = opened(given)
    on_cpu = task.device == CPU
    if on_cpu:
        torch.set_num_threads(1)
        keep_memory()
    state: dict[str, Any] = {"settings": {k: v for k, v in vars(given).items() if isinstance(v, int | list)}}
    state |= {"date": str(datetime.date.today()), "device": task.device.type, "hardware": hardware()}

    def tell(**more: Any) -> None:
        """Print what was measured, and keep it: what comes later may take longer than there is."""
        state.update(more)
        print(json.dumps(more, indent=2), flush=True)
        write_json(RESULTS / f"{given.name}.json", state)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(task, folder / "set.pt")
        peers = {"DD-Ranking": DDRanking(given.ddranking_python, folder / "set.pt", keeps=on_cpu)}
        if on_cpu:
            peers["DD-Ranking, memory returned"] = DDRanking(given.ddranking_python, folder / "set.pt", keeps=False)
        state["versions"] = {**versions(), **peers["DD-Ranking"].ask("versions")}
        asked = {"what": "train", "epochs": given.steps}
        turns = {
            "ours": ours(task), "floor": floor(task), **({WHOLE: recorded_whole(ours(task))} if records(task) else {}),
            NUMBERED: ours(task, augment=Views()),
            **{f"loader, {workers} workers": plain(task, workers) for workers in task.workers},
            **{name: lambda peer=peer: peer.ask(**asked) for name, peer in peers.items()},
        }  # fmt: skip
        found = after_one(turns, given.rounds)
        tell(train=compared(found))
        tell(**{"numbered views / floor": compared(only(found, NUMBERED, "floor"), NUMBERED)})
        if WHOLE in turns:
            tell(whole=compared(only(found, WHOLE, "ours", "DD-Ranking"), WHOLE))
        turns = {**judges(task), **{name: lambda peer=peer: peer.ask("judge") for name, peer in peers.items()}}
        tell(judge=compared(after_one(turns, given.rounds)))
        if records(task):
            turns = evaluations(task, peers["DD-Ranking"])
            found = after_one(turns, given.rounds)
            tell(evaluate={base: compared(only(found, base, "DD-Ranking"), base) for base in ("ours", WHOLE)})
        sizes = [replace(task, width=width) for width in dict.fromkeys((task.width, WIDE))]
        turns = {f"width {one.width}": relabelling(one, folder) for one in sizes}
        tell(relabel={name: compared(after_one(each, given.rounds)) for name, each in turns.items()})
        long = replace(task, training=replace(task.training, epochs=given.epochs))
        tell(accuracy=accuracies(long, peers["DD-Ranking"], given.seeds, folder))
        for peer in peers.values():
            peer.close()
    tell(bfloat16=in_half(task, given))


if __name__ == "__main__":
    main()
