"""All classes in 8 bits each: log-probabilities in even steps below the highest one.

log p_k = c - step * code_k,    code_k in 0 .. 255,    c by normalisation, so that it needs no bits
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gendistill.labelers.codecs.base import Codec, Rows
from gendistill.types import LogProbs, UserError

LEVELS = 255
FINEST = 2.0**-10
"""The shortest step in nats. Arithmetic in float32 is well below it, so what is read back and kept again gives the same codes."""


@dataclass(frozen=True)
class EightBit(Codec):
    """8 bits a class, and 16 for the step, which every label has of its own. Errors are half a step, 0.08 nats at most by default.

    span  nats below the highest log-probability that are told apart, 1 to 1000; a class that is further below is kept as that far
          below, which beside the highest one is e^(-span / T) at temperature T: nothing at T = 1, 0.14 at T = 20
    """

    span: float = 40.0

    def __post_init__(self) -> None:
        if not 1 <= self.span <= 1000:
            raise UserError(f"span={self.span}: log-probabilities are told apart over 1 to 1000 nats")

    def encode(self, log_probs: LogProbs) -> Rows:
        """Steps below the highest, and their length in nats."""
        below = (log_probs.amax(1, keepdim=True) - log_probs).clamp_max(self.span)
        step = (below.amax(1) / LEVELS).clamp_min(FINEST).half()
        codes = (below / step.float().unsqueeze(1)).round().clamp_max(LEVELS)
        return {"codes": codes.to(torch.uint8), "step": step}

    def decode(self, rows: Rows, classes: int) -> LogProbs:
        """Normalised, which puts the highest one where it was."""
        return (rows["codes"].float() * -rows["step"].float().unsqueeze(1)).log_softmax(1)
