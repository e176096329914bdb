"""All classes, as floating-point numbers."""

from __future__ import annotations

from dataclasses import dataclass

from gendistill.labelers.codecs.base import Codec, Rows
from gendistill.types import LogProbs


@dataclass(frozen=True)
class Single(Codec):
    """32 bits a class: nothing is lost."""

    def encode(self, log_probs: LogProbs) -> Rows:
        """The log-probabilities."""
        return {"log_probs": log_probs.float()}

    def decode(self, rows: Rows, classes: int) -> LogProbs:
        """As they were."""
        return rows["log_probs"]


@dataclass(frozen=True)
class Half(Codec):
    """16 bits a class, the field's usual store: log-probabilities, which unlike probabilities survive any temperature."""

    def encode(self, log_probs: LogProbs) -> Rows:
        """Log-probabilities below -65504 become that, not minus infinity."""
        return {"log_probs": log_probs.clamp_min(-65504).half()}

    def decode(self, rows: Rows, classes: int) -> LogProbs:
        """Normalised anew, since rounding moves the sum."""
        return rows["log_probs"].float().log_softmax(1)
