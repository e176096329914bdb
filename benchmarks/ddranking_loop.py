"""DD-Ranking's own training and validation, asked from outside: `evaluation_speed.py` starts it with a Python that has them.

    PYTHON benchmarks/ddranking_loop.py SET.pt

A line of standard input is a question, a line of standard output its answer. Networks, augmentation, optimiser, schedule, epochs
and judging are those of the installed ``ddranking``; only its loader of data sets is replaced: pictures are in memory, and no
process loads them, which for so few of them is faster than the four it starts every epoch. Those that are learned from are on the
device from the start, as its metrics hold random pictures; it takes test pictures there itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from ddranking.aug import DSA
from ddranking.utils import TensorDataset, get_lr_scheduler, get_optimizer, train_one_epoch, validate
from ddranking.utils.networks import ConvNet
from pairs import spent
from torch.utils.data import DataLoader, RandomSampler

OPERATIONS = {
    "scale": 1.2, "rotate": 15.0, "flip": 0.5, "brightness": 1.0, "saturation": 2.0, "contrast": 0.5, "crop": 0.125, "cutout": 0.5,
}  # fmt: skip
"""DSA's parameters, by the names that the code of 0.2.0 asks for; its README has others."""


def student(given: dict[str, Any], weights: list[torch.Tensor] | None = None) -> torch.nn.Module:
    """Its ConvNet, with its own weights or those of another ConvNet, which come in the same order."""
    side = given["pictures"].shape[-1]
    net = ConvNet(
        3, given["classes"], given["width"], given["depth"], "relu", "instancenorm", "avgpooling", (side, side)
    )
    if weights is not None:
        with torch.no_grad():
            for own, other in zip(net.parameters(), weights, strict=True):
                own.copy_(other)
    return net.to(given["device"])


def loader(pictures: torch.Tensor, labels: torch.Tensor, batch: int) -> DataLoader:
    """As its metrics make one."""
    data = TensorDataset(pictures, labels)
    return DataLoader(data, batch_size=batch, num_workers=0, sampler=RandomSampler(data))


def training(given: dict[str, Any], net: torch.nn.Module, epochs: int) -> Callable[[], None]:
    """The epochs of its metrics for hard labels."""
    batches = loader(given["pictures"].to(given["device"]), given["labels"].to(given["device"]), given["batch"])
    augment = DSA(dict(OPERATIONS))

    def run() -> None:
        optimizer = get_optimizer("sgd", net, given["lr"], given["weight_decay"], given["momentum"])
        schedule = get_lr_scheduler("step", optimizer, epochs, epochs // 2)
        for epoch in range(epochs):
            train_one_epoch(
                epoch, net, batches, torch.nn.CrossEntropyLoss(), optimizer, aug_func=augment, lr_scheduler=schedule,
                device=given["device"],
            )  # fmt: skip

    return run


def answer(given: dict[str, Any], asked: dict[str, Any]) -> object:
    """What a question asks for."""
    if asked["what"] == "versions":
        return {name: version(name) for name in ("ddranking", "torch")}
    if asked["what"] == "train":
        return spent(training(given, student(given), asked["epochs"]))
    if asked["what"] in ("judge", "evaluate"):
        net = student(given)
        held_out = loader(given["judged"], given["judged_labels"], given["judge_batch"])
        learn = training(given, net, asked["epochs"]) if asked["what"] == "evaluate" else lambda: None
        return spent(lambda: (learn(), validate(net, held_out, device=given["device"])))
    torch.manual_seed(asked["seed"])
    net = student(given, torch.load(asked["weights"]))
    training(given, net, asked["epochs"])()
    return validate(net, loader(given["test"], given["test_labels"], given["judge_batch"]), device=given["device"])


def main() -> None:
    given = torch.load(sys.argv[1])
    if given["device"] == "cpu":
        torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 (it logs every epoch)
    for line in sys.stdin:
        answers.write(json.dumps(answer(given, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
