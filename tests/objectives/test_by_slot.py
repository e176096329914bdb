"""What belongs to slots is found once, and not remembered without end."""

from __future__ import annotations

import torch

from gendistill.objectives import by_slot
from gendistill.objectives.by_slot import BySlot


def ids(*slots: int) -> torch.Tensor:
    return torch.tensor([(0, slot, 0) for slot in slots])


def test_rows_are_found_once_and_given_in_the_order_of_the_ids(monkeypatch):
    asked: list[int] = []

    def find(wanted: torch.Tensor) -> torch.Tensor:
        asked.extend(wanted[:, 1].tolist())
        return wanted[:, 1:2].float() * 10

    rows = BySlot(find, torch.device("cpu"))
    assert rows(ids(0, 1)).flatten().tolist() == [0, 10]
    assert rows(ids(2, 1, 1)).flatten().tolist() == [20, 10, 10]
    assert rows(ids(1, 0)).flatten().tolist() == [10, 0]
    assert asked == [0, 1, 2, 1, 1], "known slots were looked for again"
    monkeypatch.setattr(by_slot, "KEPT_BYTES", 3 * 4)
    assert rows(ids(3)).flatten().tolist() == [30]
    assert rows(ids(0)).flatten().tolist() == [0]
    assert asked[5:] == [3, 0], "what is remembered does not end"


def test_no_slots_have_no_rows():
    rows = BySlot(lambda wanted: torch.empty(len(wanted), 3), torch.device("cpu"))
    assert rows(ids(0)[:0]).shape == (0, 3)
