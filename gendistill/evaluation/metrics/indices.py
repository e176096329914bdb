"""The indices that BEARD makes of accuracies under several attacks and of the seconds these took.

"BEARD" (Zhou et al., 2024), https://arxiv.org/abs/2411.09265:
    RR   = 100 (1 - (clean - mean_a acc_a) / (clean - min_a acc_a))
    AE   = 100 (mean_a t_a - t_clean) / (max_a t_a - t_clean)        t: seconds; higher means that attackers take longer
    CREI = a RR + (1 - a) AE                                         a = 1/2
An index whose denominator is not above 0 is None; the authors' code calls it 0 at 0 and keeps a negative one. With a single
attack RR is 0 and AE 100 whatever it does. AE measures the clock and the list of attacks more than the student: compare it
within one run of one machine alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean


def robustness_ratio(clean: float, under: Sequence[float]) -> float | None:
    """RR in percent, of the accuracy on pictures as they are and those under each attack; None where no attack does harm."""
    lost = clean - min(under)
    return 100 * (1 - (clean - fmean(under)) / lost) if lost > 0 else None


def attack_efficiency(clean: float, under: Sequence[float]) -> float | None:
    """AE in percent, of the seconds that pictures as they are take and those of each attack; None where no attack takes time."""
    longest = max(under) - clean
    return 100 * (fmean(under) - clean) / longest if longest > 0 else None


def crei(ratio: float | None, efficiency: float | None, share: float = 0.5) -> float | None:
    """CREI in percent: ``share`` of RR and the rest of AE; None where one of them is."""
    return None if ratio is None or efficiency is None else share * ratio + (1 - share) * efficiency
