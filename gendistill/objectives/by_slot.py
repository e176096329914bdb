"""What belongs to slots, found once: objectives that pull every picture to something of its own ask at every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gendistill.types import Ids

KEPT_BYTES = 1 << 28
"""What is remembered at most. Fine-tuning looks at other pictures at every step, and would remember them all."""


class BySlot:
    """Rows by class and slot, from a function that finds those of any ids, (n, ...) on the CPU."""

    def __init__(self, find: Callable[[Ids], Tensor], device: torch.device) -> None:
        """Nothing is found before it is asked for."""
        self._find, self._device = find, device
        self._rows: dict[tuple[int, int], Tensor] = {}
        self._last: list[tuple[int, int]] | None = None
        self._answer = torch.empty(0)

    def __call__(self, ids: Ids) -> Tensor:
        """The row of each, (n, ...) on the device."""
        slots = [(index, slot) for index, slot, _ in ids.tolist()]
        if slots != self._last:
            self._last, self._answer = slots, self._of(slots, ids).to(self._device)
        return self._answer

    def _of(self, slots: list[tuple[int, int]], ids: Ids) -> Tensor:
        if any(slot not in self._rows for slot in slots) or not slots:
            found = self._find(ids)
            if found.nbytes + sum(row.nbytes for row in self._rows.values()) > KEPT_BYTES:
                self._rows.clear()
            self._rows.update(zip(slots, (row.clone() for row in found), strict=True))
            return found
        return torch.stack([self._rows[slot] for slot in slots])
