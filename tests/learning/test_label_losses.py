"""Losses for soft labels: the published formulas on numbers one can check by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from gendistill.learning.label_losses import AlignedDivergence, CosineDistance, Divergence, LogitError, lowest
from gendistill.types import UserError

LABELS = torch.tensor([0])


def test_divergence_keeps_or_drops_the_square_of_the_temperature():
    logits, log_probs = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 0.0]]).log_softmax(1)
    kept = Divergence()(logits, log_probs, LABELS, 4.0)
    torch.testing.assert_close(kept, 16 * Divergence(squared=False)(logits, log_probs, LABELS, 4.0))


def test_a_student_is_aligned_at_the_temperature_that_fits_best():
    # Labels made of the student's own logits at half the temperature: s = 1/2 fits them exactly, nothing else does.
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, -1.0]])
    log_probs = (2 * logits).log_softmax(1)
    labels = torch.tensor([0, 1])
    assert float(AlignedDivergence()(logits, log_probs, labels, 1.0).sum()) == pytest.approx(0, abs=1e-6)
    assert float(AlignedDivergence(least=1.0)(logits, log_probs, labels, 1.0).sum()) > 0.01


def test_the_best_temperature_is_found_by_halving():
    dice = torch.Generator().manual_seed(0)
    logits, places = torch.randn(4, 7, generator=dice), [i / 100 for i in range(1, 101)]
    for sharpness in (0.2, 1.3, 3.0, 40.0):
        log_probs = (sharpness * logits + torch.randn(4, 7, generator=dice)).log_softmax(1)

        def mean(s, log_probs=log_probs):
            return float(F.kl_div((logits / s).log_softmax(1), log_probs, reduction="batchmean", log_target=True))

        assert lowest(places, mean) == min(places, key=mean)


def test_labels_of_few_classes_are_aligned_with():
    # LPQLD: the kept classes are re-softmaxed at every temperature, the dropped ones stay at 0, and the loss stays finite.
    logits = torch.tensor([[3.0, 1.0, 0.0]], requires_grad=True)
    log_probs = torch.tensor([[2.0, 0.0, -math.inf]]).log_softmax(1)
    for temperature in (1.0, 20.0):
        loss = AlignedDivergence(least=0.5, most=0.5)(logits, log_probs, LABELS, temperature)
        p = torch.tensor([2.0, 0.0]).div(temperature).softmax(0)
        q = torch.tensor([6.0, 2.0, 0.0]).log_softmax(0)[:2]
        assert float(loss.detach()) == pytest.approx(float((p * (p.log() - q)).sum()), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert bool(gradient.isfinite().all())


def test_logit_error_by_hand():
    # Less their means, logits are (1, -1) and labels (2, -2): the error is 1. Cross-entropy of (1, -1) is ln(1 + e^-2).
    logits, log_probs = torch.tensor([[4.0, 2.0]]), torch.tensor([[4.0, 0.0]]).log_softmax(1)
    found = LogitError(weight=0.5)(logits, log_probs, LABELS, 20.0)
    assert float(found) == pytest.approx(1 + 0.5 * math.log(1 + math.exp(-2)))


def test_losses_of_logits_cannot_learn_classes_that_were_dropped():
    for loss in (LogitError(), CosineDistance()):
        with pytest.raises(UserError, match="keep all classes"):
            loss(torch.zeros(1, 2), torch.tensor([[0.0, -math.inf]]), LABELS, 1.0)


def test_cosine_by_hand():
    # GIFT's own code: t / |t| + 0.1 s / |s| with s = (0.9, 0.05, 0.05), t of norm 5, s of norm sqrt(0.815); logits of norm sqrt(5).
    t, logits = torch.tensor([4.0, -1.0, -3.0]) * 5 / math.sqrt(26), torch.tensor([[2.0, -1.0, 0.0]])
    smooth = torch.tensor([0.9, 0.05, 0.05])
    wanted = t / 5 + 0.1 * smooth / math.sqrt(0.815)
    cosine = float((logits[0] * wanted).sum() / (math.sqrt(5) * wanted.norm()))
    found = CosineDistance()(logits, t.log_softmax(0).unsqueeze(0), LABELS, 20.0)
    assert float(found) == pytest.approx(1 - cosine, abs=1e-6)


def test_cosine_is_blind_to_the_size_of_logits():
    logits, log_probs = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]]).log_softmax(1)
    loss = CosineDistance()
    torch.testing.assert_close(loss(logits, log_probs, LABELS, 1.0), loss(7 * logits, log_probs, LABELS, 1.0))
