"""Which device works, and how numbers travel to it: nobody waits for them."""

from __future__ import annotations

import torch
from torch import Tensor

from gendistill.system.environment import pick_device


def device_of(device: str | torch.device) -> torch.device:
    """The device that is meant: a `torch.device` as it is, of names what `pick_device` says.

    Raises:
        UserError: there is none of this name here.
    """
    return torch.device(pick_device(device) if isinstance(device, str) else device)


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers on a device. The sender does not wait until a GPU has done what it has to do before.

    The other way round that would not be safe: who does not wait reads numbers that have not come yet.
    """
    return numbers.to(device, non_blocking=device.type == "cuda")


def beside(numbers: Tensor, other: Tensor) -> Tensor:
    """Numbers on the device of another tensor."""
    return sent(numbers, other.device)
