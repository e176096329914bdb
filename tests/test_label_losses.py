"""Losses for soft labels: the published formulas on numbers one can check by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from gendistill.label_losses import AlignedDivergence, CosineDistance, Divergence, LogitError
from gendistill.types import UserError

LABELS = torch.tensor([0])


def test_divergence_keeps_or_drops_the_square_of_the_temperature():
    logits, log_probs = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 0.0]]).log_softmax(1)
    kept = Divergence()(logits, log_probs, LABELS, 4.0)
    torch.testing.assert_close(kept, 16 * Divergence(squared=False)(logits, log_probs, LABELS, 4.0))
    torch.testing.assert_close(kept, Divergence(temperature=4.0)(logits, log_probs, LABELS, 1.0))


def test_a_student_is_aligned_at_the_temperature_that_fits_best():
    # Labels made of the student's own logits at half the temperature: s = 1/2 fits them exactly, nothing else does.
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, -1.0]])
    log_probs = (2 * logits).log_softmax(1)
    labels = torch.tensor([0, 1])
    assert float(AlignedDivergence()(logits, log_probs, labels, 1.0).sum()) == pytest.approx(0, abs=1e-6)
    assert float(AlignedDivergence((1.0,))(logits, log_probs, labels, 1.0).sum()) > 0.01


def test_logit_error_by_hand():
    # Less their means, logits are (1, -1) and labels (2, -2): the error is 1. Cross-entropy of (1, -1) is ln(1 + e^-2).
    logits, log_probs = torch.tensor([[4.0, 2.0]]), torch.tensor([[4.0, 0.0]]).log_softmax(1)
    found = LogitError(weight=0.5)(logits, log_probs, LABELS, 20.0)
    assert float(found) == pytest.approx(1 + 0.5 * math.log(1 + math.exp(-2)))


def test_logit_error_cannot_learn_classes_that_were_dropped():
    with pytest.raises(UserError, match="keep all classes"):
        LogitError()(torch.zeros(1, 2), torch.tensor([[0.0, -math.inf]]), LABELS, 1.0)


def test_cosine_by_hand():
    # p = (3/5, 2/5) has norm sqrt(13)/5; the class smoothed by 0.1 is (0.95, 0.05).
    p = torch.tensor([0.6, 0.4])
    wanted = p / math.sqrt(13) * 5 + 0.1 * F.normalize(torch.tensor([0.95, 0.05]), dim=0)
    logits = torch.tensor([[2.0, -1.0]])
    cosine = float((logits[0] * wanted).sum() / (math.sqrt(5) * wanted.norm()))
    found = CosineDistance()(logits, p.log().unsqueeze(0), LABELS, 1.0)
    assert float(found) == pytest.approx(1 - cosine, abs=1e-6)


def test_cosine_is_blind_to_the_size_of_logits():
    logits, log_probs = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]]).log_softmax(1)
    loss = CosineDistance()
    torch.testing.assert_close(loss(logits, log_probs, LABELS, 1.0), loss(7 * logits, log_probs, LABELS, 1.0))
