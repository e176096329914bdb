"""How soft labels are kept: what is written for each, and what is read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from gendistill.types import LogProbs

Rows = Mapping[str, Tensor]
"""What is kept of n labels, by name: every tensor has n rows."""


class Codec(ABC):
    """A way to keep log-probabilities; a frozen dataclass. Its cost is the bytes of its rows, without headers of files."""

    @abstractmethod
    def encode(self, log_probs: LogProbs) -> Rows:
        """The rows of n labels."""

    @abstractmethod
    def decode(self, rows: Rows, classes: int) -> LogProbs:
        """The labels of n rows, float32 and normalised: exactly a function of the rows."""

    def bytes(self, classes: int) -> int:
        """What one label costs."""
        even = torch.zeros(1, classes).log_softmax(1)
        return size(self.encode(even))


def size(rows: Rows) -> int:
    """Bytes of some rows."""
    return sum(tensor.numel() * tensor.element_size() for tensor in rows.values())
