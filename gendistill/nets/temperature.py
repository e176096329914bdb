"""Temperature scaling (Guo et al., ICML 2017), https://arxiv.org/abs/1706.04599: one number that calibrates a network.

T* = argmin_T  - mean_i log softmax(z_i / T)[y_i]        on held-out real pictures
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from gendistill.nets.logits import check_logits
from gendistill.types import Labels, UserError

SPAN = math.log(1e4)
"""T is looked for within this factor of the spread of the logits, either way."""


def negative_log_likelihood(logits: Tensor, labels: Labels, temperature: float = 1.0) -> float:
    """Mean over pictures of - log softmax(z / T)[y], in nats."""
    check_logits(logits, labels)
    return float(F.cross_entropy(logits.double() / temperature, labels))


def fit_temperature(logits: Tensor, labels: Labels) -> float:
    """The temperature that logits (n, k) of held-out pictures are best divided by; above 1 where a network is too sure.

    The likelihood has one peak in 1 / T, so a search by log T finds it.

    Raises:
        UserError: the peak is at T = 0, because every picture is classified right, or there is none, because the right class
            does not get higher logits than classes do on average.
    """
    check_logits(logits, labels)
    values = logits.double()
    right = values.gather(1, labels[:, None])[:, 0]
    if bool((right == values.amax(1)).all()):
        raise UserError(
            f"all {len(labels)} held-out pictures are classified right, so no temperature is too low for them: "
            "hold out more pictures, or give a temperature"
        )
    if float((right - values.mean(1)).mean()) <= 0:
        raise UserError(
            f"the right classes of {len(labels)} held-out pictures get no higher logits than all classes do: a network that knows "
            "nothing of these data, or knows their classes in another order, cannot be calibrated"
        )
    middle = math.log(float(values.std(1, correction=0).mean()))
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(values, labels, math.exp(log_t)),
        bounds=(middle - SPAN, middle + SPAN),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(found.x)
