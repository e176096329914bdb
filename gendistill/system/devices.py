"""Numbers travel to the device that works on them, and nobody waits for them."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers on a device. The sender does not wait until a GPU has done what it has to do before.

    The other way round that would not be safe: who does not wait reads numbers that have not come yet.
    """
    return numbers.to(device, non_blocking=device.type == "cuda")


def beside(numbers: Tensor, other: Tensor) -> Tensor:
    """Numbers on the device of another tensor."""
    return sent(numbers, other.device)
