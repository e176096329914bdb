"""The temperature that a known network needs."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill import seeds
from gendistill.nets.temperature import fit_temperature, negative_log_likelihood
from gendistill.types import UserError


def test_the_temperature_of_pictures_that_are_right_three_times_of_four():
    # softmax((5, 0) / T) says 3/4 where T = 5 / log 3.
    assert fit_temperature(torch.tensor([[5.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])) == pytest.approx(5 / math.log(3))


def test_scaled_logits_need_a_scaled_temperature_whatever_their_size():
    logits = 2 * torch.randn(5000, 5, generator=seeds.stream("logits"))
    labels = torch.multinomial(logits.softmax(1), 1, generator=seeds.stream("labels"))[:, 0]
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(1, abs=0.05)
    for factor in (1e-3, 3.0, 1e3):
        assert fit_temperature(factor * logits, labels) == pytest.approx(factor * fitted, rel=1e-4)
    best = negative_log_likelihood(logits, labels, fitted)
    assert best <= min(negative_log_likelihood(logits, labels, fitted * factor) for factor in (0.98, 1.02))


def test_what_has_no_temperature_is_said():
    logits = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    with pytest.raises(UserError, match="all 2 held-out pictures are classified right"):
        fit_temperature(logits, torch.tensor([0, 1]))
    with pytest.raises(UserError, match="another order"):
        fit_temperature(logits, torch.tensor([1, 0]))
    with pytest.raises(UserError, match="another order"):
        fit_temperature(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
