"""Finished pictures where they lie: a file for each unit that was worked on, read one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gendistill.system.store import as_texts, fingerprint, read_tensors
from gendistill.types import Class, Images, Stored


class ShardImages(Images):
    """Finished pictures in their shards: one file is in memory at a time."""

    def __init__(self, classes: tuple[Class, ...], shards: list[Path]) -> None:
        """``shards`` in the order of the set; each holds ``stored``, ``ids`` and ``weight``, and ``prompts`` where there are."""
        self.classes = classes
        ids, weights, prints, counts, said = [], [], [], [], []
        for shard in shards:  # one at a time: together they may not fit
            held = read_tensors(shard)
            ids.append(held["ids"])
            weights.append(held["weight"])
            prints.append(fingerprint(held["stored"]))
            counts.append(len(held["ids"]))
            said += as_texts(held["prompts"]) if "prompts" in held else ()
            channels, height, width = held["stored"].shape[1:]
        self.ids, self.weight, self.prompts = torch.cat(ids), torch.cat(weights), tuple(said) or None
        self.labels = self.ids[:, 0].clone()
        self.shape = (channels, height, width)
        self.fingerprint = fingerprint([str(c) for c in classes], self.ids, *prints)
        self.shards = shards
        self._owner = torch.arange(len(shards)).repeat_interleave(torch.tensor(counts))
        self._offset = torch.cat([torch.arange(count) for count in counts])
        self._open: tuple[int, Tensor] = (-1, torch.empty(0))

    def stored(self, indices: Any) -> Stored:
        """8-bit pictures at these positions."""
        positions = torch.as_tensor(indices, dtype=torch.long)
        out = torch.empty(len(positions), *self.shape, dtype=torch.uint8)
        owners = self._owner[positions]
        for owner in owners.unique().tolist():
            rows = owners == owner
            out[rows] = self._read(owner)[self._offset[positions[rows]]]
        return out

    def _read(self, owner: int) -> Tensor:
        if self._open[0] != owner:
            self._open = (owner, read_tensors(self.shards[owner])["stored"])
        return self._open[1]
