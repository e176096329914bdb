"""Errors and scores of probabilities made by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
import torch

from gendistill import seeds
from gendistill.evaluation.metrics.calibration import calibration
from gendistill.types import UserError

SURE = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.62, 0.38], [0.25, 0.75]]).log()
LABELS = torch.tensor([0, 1, 0, 1])


def test_the_published_formulas():
    found = calibration(SURE, LABELS)
    # Highest probabilities 0.9, 0.9, 0.62, 0.75 in fifteenths: bins 14, 14, 10, 12; right 1, 0, 1, 1.
    assert found.ece == pytest.approx((2 * abs(0.5 - 0.9) + abs(1 - 0.62) + abs(1 - 0.75)) / 4)
    assert found.nll == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.62) + math.log(0.75)) / 4)
    assert found.brier == pytest.approx((2 * 0.1**2 + 2 * 0.9**2 + 2 * 0.38**2 + 2 * 0.25**2) / 4)
    assert [one.pictures for one in found.bins] == [1, 1, 2]
    assert astuple(found.bins[-1]) == pytest.approx((13 / 15, 14 / 15, 2, 0.9, 0.5))


def test_an_edge_belongs_to_the_bin_below_it_and_certainty_to_the_last():
    found = calibration(torch.tensor([[0.0, 0.0], [1e4, -1e4]]), torch.tensor([0, 0]), bins=2)
    assert [(one.low, one.high, one.pictures) for one in found.bins] == [(0, 0.5, 1), (0.5, 1, 1)]


def test_probabilities_that_are_kept_are_calibrated_and_sharper_ones_are_not():
    logits = 2 * torch.randn(20_000, 5, generator=seeds.stream("logits"))
    labels = torch.multinomial(logits.softmax(1), 1, generator=seeds.stream("labels"))[:, 0]
    kept, sharp = calibration(logits, labels), calibration(3 * logits, labels)
    assert kept.ece < 0.02 < 0.1 < sharp.ece
    assert kept.nll < sharp.nll and kept.brier < sharp.brier


def test_no_bin_is_said():
    with pytest.raises(UserError, match="bins=0"):
        calibration(SURE, LABELS, bins=0)
