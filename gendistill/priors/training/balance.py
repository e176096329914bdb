"""Batches that hold their classes equally: from counts alone, any batch can be told without those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.priors.training.loop import order


def balanced(counts: Sequence[int], classes: int, seed: int) -> Callable[[int, int], Tensor]:
    """``take(start, count)``: the pictures of the batch that begins at ``start``, class by class; classes ascend.

    Positions count the pictures of the first class, then those of the next. Each class comes equally often, and each of its
    pictures once before any comes again.

    counts   pictures of each class
    classes  how many different ones are in a batch
    """
    known = len(counts)
    offsets = torch.tensor([0, *counts]).cumsum(0).tolist()
    orders = [order(count, seeds.number(seed, "class", index)) for index, count in enumerate(counts)]
    turn = known // math.gcd(
        known, classes
    )  # batches after which all classes came equally often: then, a new order of them

    def take(start: int, count: int) -> Tensor:
        each = count // classes
        done, place = divmod(start // count, turn)
        shuffled = torch.randperm(known, generator=seeds.stream(seed, "classes", done)).tolist()
        slots = range(place * classes, (place + 1) * classes)
        visits = sorted((shuffled[slot % known], done * turn * classes // known + slot // known) for slot in slots)
        return torch.cat([offsets[index] + orders[index](visit * each, each) for index, visit in visits])

    return take
