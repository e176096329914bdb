"""What is left of a student's accuracy when its pictures are attacked or go bad, and the figures the field makes of it.

"DD-RobustBench" (Wu et al., 2024), https://arxiv.org/abs/2403.13322: accuracy clean, under each attack, and their mean and least.
"BEARD" (Zhou et al., 2024), https://arxiv.org/abs/2411.09265: RR, AE and CREI, as `gendistill.evaluation.metrics.indices` has them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import nn

from gendistill.context import together
from gendistill.evaluation.metrics import indices
from gendistill.evaluation.metrics.attacks import Attack, streams_of
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from gendistill.nets.logits import check_channels, evaluating
from gendistill.types import Images, Labels, Pixels, UserError

Streams: TypeAlias = list[torch.Generator]


@dataclass(frozen=True)
class Attacked:
    """Accuracy under one attack.

    attack    as it prints
    accuracy  in percent
    seconds   to attack and to classify all pictures
    """

    attack: str
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Adversarial:
    """Accuracy under some attacks.

    clean     accuracy on the same pictures as they are, in percent
    seconds   to classify them
    attacks   one result each
    pictures  how many
    """

    clean: float
    seconds: float
    attacks: tuple[Attacked, ...]
    pictures: int

    @property
    def mean(self) -> float:
        """Mean accuracy over attacks, in percent."""
        return statistics.fmean(one.accuracy for one in self.attacks)

    @property
    def least(self) -> float:
        """Accuracy under the attack that does most harm, in percent."""
        return min(one.accuracy for one in self.attacks)

    @property
    def robustness_ratio(self) -> float | None:
        """RR of BEARD, in percent; None where no attack does harm."""
        return indices.robustness_ratio(self.clean, [one.accuracy for one in self.attacks])

    @property
    def attack_efficiency(self) -> float | None:
        """AE of BEARD, in percent; None where no attack takes time."""
        return indices.attack_efficiency(self.seconds, [one.seconds for one in self.attacks])

    def crei(self, share: float = 0.5) -> float | None:
        """CREI of BEARD, in percent: ``share`` of RR and the rest of AE; None where one of them is."""
        return indices.crei(self.robustness_ratio, self.attack_efficiency, share)


@dataclass(frozen=True)
class Worn:
    """Accuracy under one corruption.

    corruption  its name
    accuracy    by severity, in percent
    """

    corruption: str
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Corrupted:
    """Accuracy under common corruptions.

    clean        accuracy on the same pictures as they are, in percent
    severities   that were tried
    corruptions  one result each
    pictures     how many
    """

    clean: float
    severities: tuple[int, ...]
    corruptions: tuple[Worn, ...]
    pictures: int

    @property
    def mean(self) -> float:
        """Mean accuracy over corruptions and severities, in percent."""
        return statistics.fmean(statistics.fmean(one.accuracy) for one in self.corruptions)


def attack(
    net: nn.Module, images: Images, attacks: Sequence[Attack], device: str | torch.device = "cpu", seed: int = 0
) -> Adversarial:
    """Accuracy of a network on attacked pictures.

    Raises:
        UserError: there are no attacks, or pictures and network do not fit.
    """
    if not attacks:
        raise UserError("no attack is given: DD_ROBUSTBENCH are some")

    def under(one: Attack) -> tuple[float, float]:
        return accuracy(net, images, device, partial(one, net), (seed, f"attack {one}"))

    clean, seconds = accuracy(net, images, device)
    found = tuple(Attacked(str(one), *under(one)) for one in attacks)
    return Adversarial(clean, seconds, found, len(images))


def corrupt(
    net: nn.Module,
    images: Images,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> Corrupted:
    """Accuracy of a network on corrupted pictures.

    Raises:
        UserError: there are no corruptions or severities, or pictures and network do not fit.
    """
    if not corruptions or not severities:
        raise UserError("no corruption or no severity is given: CORRUPTIONS and SEVERITIES are some")

    def under(one: Corruption, severity: int) -> float:
        # A corruption's draw is the same in every severity, which only makes it stronger.
        return accuracy(net, images, device, lambda x, _, streams: one(x, severity, streams), (seed, one.name))[0]

    found = tuple(Worn(one.name, tuple(under(one, severity) for severity in severities)) for one in corruptions)
    return Corrupted(accuracy(net, images, device)[0], tuple(severities), found, len(images))


def accuracy(
    net: nn.Module,
    images: Images,
    device: str | torch.device,
    change: Callable[[Pixels, Labels, Streams], Pixels] = lambda pixels, labels, streams: pixels,
    key: tuple[int, str] | None = None,
) -> tuple[float, float]:
    """Accuracy in percent on changed pictures, and the seconds it took.

    Reading is left out, and so are the random streams of the pictures, which follow from ``key``: a network is not slower for them.
    """
    check_channels(net, images)
    right, seconds = 0, 0.0
    with evaluating(net):
        for block in torch.arange(len(images)).split(together(images.shape)):
            pixels, labels = images.pixels(block, device), images.labels[block].to(device)
            streams = [] if key is None else streams_of(*key, block)
            started = time.perf_counter()
            changed = change(pixels, labels, streams)
            with torch.no_grad():
                right += int((net(changed).argmax(1) == labels).sum())  # waits for the device
            seconds += time.perf_counter() - started
    return 100 * right / len(images), seconds
