"""The likeliest classes of a label alone: MS-k and MR-k of FKD (Shen & Xing, ECCV 2022), https://arxiv.org/abs/2112.01528.

MS-k   p_j = (1 - sum of the k kept) / (classes - k)    for every class j that is not kept
MR-k   p_i = p_i / (sum of the k kept),  p_j = 0

At a temperature T other than 1, what is even is not p but p^(1/T): p_j = (mean over those not kept of p^(1/T))^T, so that a
softened label gives them together what they had. MS-k is T = 1.

MR-k is what LPQLD (Xiao & He, TPAMI 2025), https://ieeexplore.ieee.org/document/11395619, keeps: at temperature T the softmax of
the k kept at T. So a class that was dropped is -inf, at every temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gendistill.labelers.codecs.base import Codec, Rows
from gendistill.labelers.codecs.floats import Half
from gendistill.types import LogProbs, UserError

CLASSES = "classes"
"""The name of the row of class numbers, beside those of the values."""


@dataclass(frozen=True)
class TopK(Codec):
    """The ``k`` likeliest classes, by the smallest numbers that can name them, and what they are.

    k       classes that are kept, all where there are no more
    values  how their log-probabilities are kept
    spread  True keeps one value more, what each of the other classes has on average (MS-k): but for their rounding, it would follow
            from the kept ones. False drops the others (MR-k)
    temperature  at which those that are spread have together what they had: best that of the student's loss
    """

    k: int = 10
    values: Codec = Half()
    spread: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UserError(f"temperature={self.temperature} must be above 0")
        if self.k < 1:
            raise UserError(f"k={self.k}: at least one class must be kept")
        if isinstance(self.values, TopK):
            raise UserError(
                f"values={self.values!r} keep some classes of those kept; give Half(), EightBit() or Single()"
            )

    def encode(self, log_probs: LogProbs) -> Rows:
        """Classes in ascending order; of equals the lower ones are kept."""
        classes = log_probs.shape[1]
        ordered = log_probs.sort(dim=1, descending=True, stable=True)
        kept = ordered.indices[:, : self.k].sort(dim=1).values
        values = log_probs.gather(1, kept)
        if self._has_rest(classes):
            softened = (ordered.values[:, self.k :] / self.temperature).logsumexp(1, keepdim=True)
            values = torch.cat([values, self.temperature * (softened - math.log(classes - self.k))], 1)
        return {CLASSES: kept.to(number_type(classes)), **self.values.encode(values.log_softmax(1))}

    def decode(self, rows: Rows, classes: int) -> LogProbs:
        """The kept classes, and the others evenly or not at all."""
        kept = rows[CLASSES].long()
        n, k = kept.shape
        told = {name: tensor for name, tensor in rows.items() if name != CLASSES}
        values = self.values.decode(told, k + self._has_rest(classes))
        if self._has_rest(classes):
            found = values[:, -1:].repeat(1, classes)
        else:
            found = values.new_full((n, classes), -math.inf)
        return found.scatter(1, kept, values[:, :k]).log_softmax(1)

    def _has_rest(self, classes: int) -> bool:
        return self.spread and self.k < classes


def number_type(classes: int) -> torch.dtype:
    """The smallest type that numbers so many classes."""
    return torch.uint8 if classes <= 1 << 8 else torch.int16 if classes <= 1 << 15 else torch.int32
