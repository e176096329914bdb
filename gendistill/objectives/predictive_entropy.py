"""Teachers are uncertain: utility-aligned guidance (UAG) ascends the predictive entropy of a reference classifier.

    loss_picture = - H(p) = sum_i p_i log p_i,   p = mean_teachers softmax(z)

The paper of UAG was not at hand: formula and sign follow a reproduction by others. It asks one reference classifier; for
several, the entropy is that of their mean: Deep ensembles (Lakshminarayanan et al., NeurIPS 2017), https://arxiv.org/abs/1612.01474.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill.context import Context
from gendistill.draft import Loss, Synthetic
from gendistill.nets.trained import Trained
from gendistill.objectives.taught import Taught
from gendistill.types import Losses


@dataclass(frozen=True)
class PredictiveEntropy(Taught):
    """Minus the entropy of the teachers' mean probabilities, in nats: descending it makes pictures uncertain.

    teachers  references of classifiers, see `gendistill.nets.trained.load`
    """

    teachers: tuple[Any, ...] = (Trained(),)
    weight: float = 1.0
    scope = "picture"

    def bind(self, context: Context) -> Loss:
        """One number per picture, in [-log k, 0]."""
        nets = self.nets(context)

        def loss(synthetic: Synthetic) -> Losses:
            return -entropy(torch.stack([net(synthetic.pixels) for net in nets]))

        return loss


def entropy(logits: Tensor) -> Losses:
    """Entropy of the mean over teachers of softmax, (n,) in nats; logits are (teachers, n, k).

    In logarithms, so that the gradient stays finite where a probability is too small for float32.
    """
    log_probs = logits.log_softmax(2).logsumexp(0) - math.log(len(logits))
    return -(log_probs.exp() * log_probs).sum(1)
