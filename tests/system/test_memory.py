"""The peak of a block is seen though the memory was given back before its end."""

from __future__ import annotations

import time

import torch

from gendistill.system.memory import EVERY_S, peak_memory, resident

MEGABYTES = 200


def test_a_peak_is_seen_after_it_is_over():
    before = resident()
    with peak_memory(torch.device("cpu")) as peak:
        held = torch.ones(MEGABYTES << 18)
        time.sleep(20 * EVERY_S)
        del held
        time.sleep(20 * EVERY_S)
        grown = peak() - before
    assert 0.9 * MEGABYTES * 2**20 < grown < 2 * MEGABYTES * 2**20
